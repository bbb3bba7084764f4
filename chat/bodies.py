"""How much of a request is read, whatever server runs the site."""

import asyncio
import re
from typing import Any

from django.urls import NoReverseMatch, reverse

from chat.conf import MAX_BODY_BYTES, MAX_UPLOAD_BYTES
from chat.errors import PromptTooLong
from chat.wire import native

PATIENCE = 16  # How many times the allowed length is read before a sender is left alone.
PATIENCE_SECONDS = 5.0
FORM_WITH_FILES = b"multipart/form-data"
# Where files are taken: by themselves, and with a prompt from a page without JavaScript.
UPLOAD_PATH = re.compile(r"(/api/v1/attachments/|/c/[0-9a-f-]{36}/)$")


class _TooLong(Exception):
    """Raised in the application's place when more arrives than is allowed."""


class BodyLimit:
    """
    ASGI middleware: answer 413 to a body over the limit, and keep nothing of it.

    Django alone spools it to the disk, however long, before it looks at the
    length. Daphne, which keeps a whole body before it calls anybody, has a
    bound of its own besides.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, limit = 0, longest_body(scope["path"], _header(scope, b"content-type"))

        async def bounded() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _TooLong
            return message

        try:
            if declared_length(scope) > limit:
                raise _TooLong
            await self.app(scope, bounded, send)
        except _TooLong:
            await refuse(receive, send, limit)


def longest_body(path: str, content_type: bytes) -> int:
    """Return how long a body may be: longer ones are forms with files, where files are taken."""
    if not content_type.strip().lower().startswith(FORM_WITH_FILES):
        return MAX_BODY_BYTES
    return MAX_UPLOAD_BYTES if UPLOAD_PATH.search(path) or path == _home() else MAX_BODY_BYTES


def _home() -> str:
    try:
        return reverse("chat:home")
    except NoReverseMatch:  # A project may put our pages nowhere.
        return ""


def _header(scope: Any, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key.lower() == name), b"")


def declared_length(scope: Any) -> int:
    value = _header(scope, b"content-length")
    return int(value) if value.isdigit() else 0


async def refuse(receive: Any, send: Any, limit: int = MAX_BODY_BYTES) -> None:
    """Answer, then read on for a while: a client that is still sending would not see the answer."""
    error = PromptTooLong(f"A body has at most {limit} bytes.")
    body = native.error_body(error.as_dict()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    unread = PATIENCE * MAX_BODY_BYTES
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while unread > 0:
                message = await receive()
                unread -= len(message.get("body", b""))
                if not message.get("more_body"):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})

"""How much of a request is read, whatever server runs the site."""

import asyncio
from typing import Any

from chat.conf import MAX_BODY_BYTES
from chat.errors import PromptTooLong
from chat.wire import native

PATIENCE = 16  # How many times the allowed length is read before a sender is left alone.
PATIENCE_SECONDS = 5.0


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
        received = 0

        async def bounded() -> Any:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise _TooLong
            return message

        try:
            if declared_length(scope) > MAX_BODY_BYTES:
                raise _TooLong
            await self.app(scope, bounded, send)
        except _TooLong:
            await refuse(receive, send)


def declared_length(scope: Any) -> int:
    values = [value for name, value in scope["headers"] if name.lower() == b"content-length"]
    return int(values[0]) if values and values[0].isdigit() else 0


async def refuse(receive: Any, send: Any) -> None:
    """Answer, then read on for a while: a client that is still sending would not see the answer."""
    error = PromptTooLong(f"A body has at most {MAX_BODY_BYTES} bytes.")
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

"""The site's HTTP API, as far as a chat needs it, with nothing but the standard library."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote, urlencode

from chat.terminal.config import Account
from chat.terminal.failures import Refused, SignedOut, Unreachable, no_chat_there, reason_of

TIMEOUT = 15.0
PAGE = 200
MAX_BYTES = 64 * 1024 * 1024
BAD_KEY = "The site does not accept the key. Make another on its account page: streamchat login"

T = TypeVar("T")


class Conversation(TypedDict):
    id: str
    title: str
    model: str
    agent: str
    updated_at: str


class Message(TypedDict):
    id: str
    parent: str | None
    role: str
    text: str
    generation: str | None


class Generation(TypedDict):
    conversation: str
    message: str
    status: str
    error: Any  # An error object, or None.


class Choice(NamedTuple):
    """A model or an agent: its name, and what it is."""

    name: str
    description: str


NO_AGENT = Choice("", "No agent: the model by itself")


class Saved(NamedTuple):
    """An answer as the site has stored it. ``error`` is an error object, or None."""

    status: str
    text: str
    error: Any


class Api:
    """
    Reading what the site has stored.

    Every method raises Refused for the site's own errors, SignedOut when the
    key is not accepted, Unreachable when no site answers.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if account.is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    async def models(self) -> list[Choice]:
        """Return the models to choose from, the site's default first."""
        return _choices(await self._get("/models/"))

    async def agents(self) -> list[Choice]:
        """Return the agents to choose from, and one without a name: none of them."""
        return [NO_AGENT, *_choices(await self._get("/agents/"))]

    async def conversations(self, *, query: str = "", limit: int = 50) -> list[Conversation]:
        """Return those with such a title, most recently used first."""
        found = await self._get("/conversations/", q=query, limit=limit)
        items: list[Conversation] = found["items"]
        return items

    async def conversation(self, conversation: str) -> Conversation:
        found: Conversation = await self._get(f"/conversations/{quote(conversation, safe='')}/")
        return found

    async def messages(self, conversation: str) -> list[Message]:
        """Return the whole tree, oldest first."""
        items: list[Message] = []
        cursor: str | None = ""
        while cursor is not None:
            path = f"/conversations/{conversation}/messages/"
            page = await self._get(path, cursor=cursor, limit=PAGE)
            items += page["items"]
            cursor = page["next"]
        return items

    async def generation(self, generation: str) -> Generation:
        found: Generation = await self._get(f"/generations/{generation}/")
        return found

    async def saved(self, generation: str) -> Saved:
        """Return an answer as it is stored, however far it has come."""
        found = await self.generation(generation)
        messages = await self.messages(found["conversation"])
        text = next((row["text"] for row in messages if row["id"] == found["message"]), "")
        return Saved(found["status"], text, found["error"])

    async def _get(self, path: str, **query: Any) -> Any:
        query = {name: value for name, value in query.items() if value != ""}
        address = f"{self._account.url}/api/v1{path}"
        return await in_thread(lambda: self._fetch(f"{address}?{urlencode(query)}"))

    def _fetch(self, address: str) -> Any:
        headers = {
            "Authorization": f"Bearer {self._account.key}",
            "Accept": "application/json",
            "User-Agent": "streamchat",
        }
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 - checked
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return json.loads(response.read(MAX_BYTES))
        except urllib.error.HTTPError as exc:
            with exc:
                raise self._refusal(exc) from None
        except (OSError, ValueError) as exc:
            raise Unreachable(f"{self._account.url} cannot be reached: {reason_of(exc)}") from exc

    def _refusal(self, error: urllib.error.HTTPError) -> Exception:
        if error.code == 401:
            return SignedOut(BAD_KEY)
        try:
            body = json.loads(error.read(MAX_BYTES))
            return Refused.from_wire(body["error"])
        except (OSError, ValueError, KeyError, TypeError):
            if error.code == 404:
                return Refused(code="not_found", message="There is nothing here with that address.")
            return no_chat_there(self._account.url, error.code, error.headers.get("Location"))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Elsewhere the key is nobody's business, and urllib would take it along."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _choices(body: Any) -> list[Choice]:
    return [Choice(row["name"], row.get("description") or "") for row in body["items"]]


async def in_thread(function: Callable[[], T]) -> T:
    """Return what a blocking function returns. It does not keep the program from ending."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except BaseException as exc:
            error = exc
        with suppress(RuntimeError):  # The program has ended meanwhile.
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True).start()
    return await outcome

"""One open WebSocket: whom it belongs to, its tasks, the news for it, and its end."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from chat.conf import chat_settings
from chat.drain import is_draining, on_drain
from chat.errors import ChatError, Overloaded, RateLimited
from chat.identity import Identity, has_expired, identify_scope
from chat.readers import Reader, open_reader
from chat.wire import native

RESTARTING = 1012
SIGNED_OUT = 4401
REVOKED = 4403
TOO_SLOW = 4408
TOO_MANY = 4429

NEWS_LENGTH = 64  # News that wait to be sent to one socket; of more, the oldest are dropped.
LANE_LENGTH = 64  # Frames of one socket that wait to be handled; a client that sends faster waits.

HANDLERS = {"websocket.connect", "websocket.receive", "websocket.disconnect"}


class Socket(AsyncWebsocketConsumer):
    """
    A consumer's own side, without what its frames mean.

    It counts as a reader of its user, hears their news, and ends with their
    session or key, with the process, or when its client reads too slowly.
    """

    identity: Identity
    reader: Reader
    channel_layer_alias = "chat uses none"  # Whatever layers a site has for itself.
    identify: Callable[[dict[str, Any]], Awaitable[Identity | None]] = staticmethod(identify_scope)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.readers: dict[Any, asyncio.Task[None]] = {}  # By what their client calls them.
        self.tasks: set[asyncio.Task[None]] = set()
        self.news: deque[dict[str, Any]] | None = None  # Most sockets are quiet.
        self.telling: asyncio.Task[None] | None = None
        self.greeted = False
        try:
            identity = await self.identify(scope)
            if identity is None:
                await self._refuse(receive, send, SIGNED_OUT)
                return
            if is_draining():
                await self._refuse(receive, send, RESTARTING)
                return
            self.identity = identity
            # A socket lives for hours, and nobody reads its handshake's headers again.
            if isinstance(scope["headers"], list):
                scope["headers"].clear()
            told = open_reader(identity, on_revoked=self.close_revoked, on_news=self.add_news)
            with told as self.reader, on_drain(self.close_restarting):
                await super().__call__(scope, receive, send)
        except ChatError:
            await self._refuse(receive, send, TOO_MANY)
        finally:  # disconnect() is skipped when the server cancels us; this is not.
            for task in self.tasks:
                task.cancel()

    @staticmethod
    async def _refuse(receive: Any, send: Any, code: int) -> None:
        await receive()
        await send({"type": "websocket.accept"})  # Before it, browsers do not see the code.
        await send({"type": "websocket.close", "code": code})

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Unlike Channels' own, this does not visit the thread that all consumers share.
        if message["type"] in HANDLERS:
            await getattr(self, message["type"].replace(".", "_"))(message)

    async def send(
        self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False
    ) -> None:
        """Send, or do nothing when the client has left: its disconnect is then on its way here."""
        with suppress(OSError):
            await super().send(text_data, bytes_data, close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """See send()."""
        with suppress(OSError):
            await super().close(code, reason)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        raise StopConsumer

    def spawn(self, coroutine: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # Frames -------------------------------------------------------------------

    def enter(self, lane: list[Any], frame: Any) -> None:
        """Have a frame handled when those before it in its lane have been. Raise RateLimited."""
        if len(lane) > LANE_LENGTH:
            raise RateLimited("Too many frames wait to be handled. Send slower.")
        lane.append(frame)
        if len(lane) == 1:  # A lane has a task only while it is used: most sockets are idle.
            self.spawn(self.handle_lane(lane))

    async def handle_lane(self, lane: list[Any]) -> None:
        while lane:
            await self.handle(lane[0])
            del lane[0]

    async def handle(self, frame: Any) -> None:
        """Do what a frame asks. Does not raise: whatever goes wrong is told to its sender."""
        raise NotImplementedError

    # News ---------------------------------------------------------------------

    def add_news(self, frame: dict[str, Any]) -> None:
        if self.news is None:
            self.news = deque(maxlen=NEWS_LENGTH)
        self.news.append(frame)
        self.tell_soon()

    def tell_soon(self) -> None:
        # A task only while there is something to tell: most sockets are quiet.
        if self.greeted and self.news and (self.telling is None or self.telling.done()):
            self.telling = self.spawn(self.tell_news())

    async def tell_news(self) -> None:
        try:
            while self.news:
                async with asyncio.timeout(chat_settings().slow_reader_seconds):
                    await self.send(native.frame("conversation", **self.news.popleft()))
        except TimeoutError:
            await self.close(TOO_SLOW)

    def close_restarting(self) -> None:
        """End this socket: its client is to follow on elsewhere."""
        for reader in self.readers.values():
            reader.cancel()
        self.spawn(self.close(RESTARTING))

    def close_revoked(self) -> None:
        """End this socket: its session or key is not valid any more."""
        for reader in (*self.readers.values(), self.telling):
            if reader is not None:
                reader.cancel()
        self.spawn(self.close_ended())

    async def close_ended(self) -> None:
        expired = False
        with suppress(Overloaded):
            expired = await has_expired(self.identity)
        await self.close(SIGNED_OUT if expired else REVOKED)

"""One WebSocket that stays connected. It keeps no state of the chat."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from chat.terminal.api import BAD_KEY
from chat.terminal.config import Account
from chat.terminal.failures import SignedOut, Unreachable, no_chat_there, reason_of

FIRST_WAIT = 0.4
LONGEST_WAIT = 15.0
OPEN_SECONDS = 10.0
MAX_FRAME = 64 * 1024 * 1024  # Of the site's: a batch may be a whole answer.
SIGNED_OUT = {4401: BAD_KEY, 4403: "The key was revoked. Make another: streamchat login"}

Frame = dict[str, Any]


class State(StrEnum):
    CONNECTING = "connecting"  # For the first time.
    ONLINE = "online"
    OFFLINE = "offline"  # For now.


class Connection:
    """
    Frames to the site and from it, over as many sockets one after another as it takes.

    ``on_frame`` gets each frame, ``on_state`` each change. What is sent while
    there is no socket is lost: on ``hello`` the owner sends what still matters.
    ``patience`` is for how many seconds to try again without success.
    """

    def __init__(
        self,
        account: Account,
        *,
        on_frame: Callable[[Frame], None],
        on_state: Callable[[State], None],
        patience: float = float("inf"),
    ) -> None:
        self._account = account
        self._on_frame = on_frame
        self._on_state = on_state
        self.patience = patience
        self._outbox: asyncio.Queue[str] | None = None
        self._failures = 0
        self.state = State.CONNECTING

    def send(self, kind: str, **fields: Any) -> None:
        """Send a frame, or nothing without a connection. Does not wait; keeps the order."""
        if self._outbox is not None:
            self._outbox.put_nowait(encode(kind, **fields))

    async def run(self) -> None:
        """
        Stay connected until cancelled.

        Raise SignedOut when the key is not valid, Unreachable when there is no
        connection for longer than ``patience``, and at once where none can be.
        """
        lost_at = time.monotonic()
        while True:
            code, reason = await self._connect_once()
            if self.state is State.ONLINE:
                lost_at = time.monotonic()
            self._tell(State.OFFLINE)
            if code in SIGNED_OUT:
                raise SignedOut(SIGNED_OUT[code])
            if time.monotonic() - lost_at >= self.patience:
                raise Unreachable(f"{self._account.url} cannot be reached: {reason}")
            # Jitter, so that the clients of a restarted site do not all come back at once.
            longest = min(LONGEST_WAIT, FIRST_WAIT * 2**self._failures)
            self._failures += 1
            await asyncio.sleep(longest * (0.5 + random.random() / 2))  # noqa: S311

    async def _connect_once(self) -> tuple[int | None, str]:
        """Return the close code, if there is one, and why there is no connection any more."""
        try:
            async with _Direct(
                f"ws{self._account.url.removeprefix('http')}/ws/chat/",
                additional_headers={"Authorization": f"Bearer {self._account.key}"},
                user_agent_header="streamchat",
                proxy=None if self._account.is_local else True,
                open_timeout=OPEN_SECONDS,
                close_timeout=1,
                max_size=MAX_FRAME,
            ) as socket:
                await self._talk(socket)
            return socket.close_code, f"closed with {socket.close_code}"
        except InvalidStatus as exc:
            status = exc.response.status_code
            if status in {401, 403}:
                return 4401, ""
            if status != 429 and status < 500:
                location = exc.response.headers.get("Location")
                raise no_chat_there(self._account.url, status, location) from None
            return None, f"it answers {status}"
        except (OSError, WebSocketException) as exc:
            return None, reason_of(exc)

    async def _talk(self, socket: ClientConnection) -> None:
        self._outbox = asyncio.Queue()
        sender = asyncio.create_task(self._send_all(socket, self._outbox))
        try:
            async for raw in socket:
                frame = json.loads(raw)
                self._on_frame(frame)
                if frame["type"] == "hello":
                    self._failures = 0
                    self._tell(State.ONLINE)
        except WebSocketException:
            pass  # The code says why.
        finally:
            self._outbox = None
            sender.cancel()

    @staticmethod
    async def _send_all(socket: ClientConnection, outbox: "asyncio.Queue[str]") -> None:
        try:
            while True:
                await socket.send(await outbox.get())
        except WebSocketException:
            pass  # Whoever reads from the socket finds out as well.

    def _tell(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._on_state(state)


class _Direct(connect):
    """Follows no redirect: elsewhere the key is nobody's business."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def encode(kind: str, **fields: Any) -> str:
    """Return a frame as text."""
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)

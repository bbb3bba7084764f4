"""What a connection's application is yet to receive."""

import asyncio
from typing import Any


class Inbox:
    """
    A queue for one taker, a tenth of the size of asyncio's: most sockets are idle for hours.

    `get()` is what an ASGI application calls ``receive``; one call waits at a time.
    """

    __slots__ = ("_messages", "_taker")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._taker: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        self._messages.append(message)
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def get(self) -> Any:
        while not self._messages:
            self._taker = asyncio.get_running_loop().create_future()
            try:
                await self._taker
            finally:
                self._taker = None
        return self._messages.pop(0)  # Few wait: the reader of the socket pauses past eight.

    def qsize(self) -> int:
        return len(self._messages)

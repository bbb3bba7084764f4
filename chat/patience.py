"""A bound on each of many short waits, for the price of one timer."""

import asyncio
from types import TracebackType
from typing import Self


class Patience:
    """
    Raise TimeoutError in a task whose current wait takes longer than ``seconds``.

    ``asyncio.timeout()`` around every wait says the same, but making and
    dropping its timer costs more than most of them.

        async with Patience(30) as patience:
            for frame in frames:
                patience.begin()
                await send(frame)
                patience.end()
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._since: float | None = None

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def begin(self) -> None:
        """Say that a wait begins."""
        self._since = self._loop.time()

    def end(self) -> None:
        """Say that it is over."""
        self._since = None

    def _look(self) -> None:
        now = self._loop.time()
        due = (now if self._since is None else self._since) + self._seconds
        if due <= now:
            self._timeout.reschedule(now)
        else:
            self._timer = self._loop.call_at(due, self._look)

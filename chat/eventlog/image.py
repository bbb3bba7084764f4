"""The events of one generation in the memory of one process, and who waits for more."""

import asyncio
from collections.abc import Sequence

from chat.errors import ChatError, EventsExpired, InvalidCursor
from chat.events import Event

# No reader is handed more at once, and the rest comes next: what one that reads slowly
# has been handed is memory that it holds.
MAX_BATCH = 128
MAX_BATCH_CHARS = 131_072
FEW = 8  # So many are not measured: an event has 16 KiB of text at most.


class Image:
    """What readers of this process may see of one log: its events from the first one on."""

    __slots__ = ("_timer", "_waiters", "error", "events")

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self.events = list(events)
        self.error: ChatError | None = None
        self._waiters: dict[asyncio.Future[None], float] = {}  # And until when each waits.
        self._timer: asyncio.TimerHandle | None = None

    @property
    def cursor(self) -> int:
        return len(self.events)

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and self.events[-1].kind.is_terminal

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiters)

    def extend(self, events: Sequence[Event]) -> None:
        """Show the events that follow, and wake who waits for them."""
        self.events.extend(events)
        self.wake()

    @property
    def is_gone(self) -> bool:
        return self.error is not None

    def expire(self, error: ChatError | None = None) -> None:
        """End all reading, by EventsExpired unless told otherwise."""
        self.error = error or EventsExpired()
        self.wake()

    def wake(self) -> None:
        """Let those who wait read again, be there something or not."""
        for waiter in self._waiters:
            _wake(waiter)

    async def read(self, *, after: int, block: float) -> list[Event]:
        """See `BaseEventLog.read()`."""
        self._check()
        if not 0 <= after <= len(self.events):
            raise InvalidCursor(f"Cursor {after} is past the last event, {len(self.events)}.")
        if after == len(self.events) and block > 0 and not self.has_ended:
            await self._wait(block)
            self._check()
        return fit(self.events[after : after + MAX_BATCH])

    def last(self) -> Event | None:
        self._check()
        return self.events[-1] if self.events else None

    def _check(self) -> None:
        if self.error is not None:
            raise type(self.error)(str(self.error), retry_after=self.error.retry_after)

    async def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        until = self._waiters[waiter] = loop.time() + seconds
        # Nearly every wait ends by an event: one timer for all is left to run.
        if self._timer is None or self._timer.when() > until:
            self._set_timer(until)
        try:
            await waiter
        finally:
            del self._waiters[waiter]

    def _set_timer(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(time, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for waiter, until in self._waiters.items():
            if until <= now:
                _wake(waiter)
        if later := [until for until in self._waiters.values() if until > now]:
            self._set_timer(min(later))


def fit(events: list[Event]) -> list[Event]:
    """Return as many of the first events as are fit for one batch, one at least."""
    if len(events) <= FEW:
        return events
    size = 0
    for number, event in enumerate(events):
        size += len(event.json)
        if size > MAX_BATCH_CHARS:
            return events[: max(number, 1)]
    return events


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)

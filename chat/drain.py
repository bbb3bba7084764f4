"""
The end of this process, announced: prompts are refused, readers sent away one by one.

The process drains once and does not come back from it. Everything here is
called from the event loop's thread.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from chat.conf import chat_settings
from chat.errors import Draining

# A signal that follows sooner is the first one again: Ctrl-C in a terminal reaches a
# worker twice, from the terminal and from the process that it belongs to.
SAME_SIGNAL_SECONDS = 1.0
RETRY_SECONDS = 5.0


class Turn:
    """The moment in which one reader is to go, random, so that not all come back at once."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.has_come = False
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None

    def come_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self.come)

    def come(self) -> None:
        if not self.has_come:
            self.has_come = True
            self._callback()

    def drop(self) -> None:
        if self._timer:
            self._timer.cancel()


class _Drain:
    def __init__(self) -> None:
        self.begun_at: float | None = None
        self.hurried = asyncio.Event()
        self.turns: set[Turn] = set()


_drain = _Drain()


def begin() -> None:
    """Refuse prompts and new readers from now on, and tell those that are open. Idempotent."""
    if _drain.begun_at is None:
        _drain.begun_at = monotonic()
        longest = jitter()
        for turn in _drain.turns:
            turn.come_after(random.uniform(0, longest))  # noqa: S311 - No secret.


def is_draining() -> bool:
    return _drain.begun_at is not None


def hurry() -> None:
    """Wait for nothing any more: every reader's turn has come, and every run's end."""
    begin()
    _drain.hurried.set()
    for turn in list(_drain.turns):
        turn.come()


def signalled() -> bool:
    """Take a signal to end: the first begins, a second one hurries. Return if it was the first."""
    begun_at = _drain.begun_at
    if begun_at is None:
        begin()
    elif monotonic() - begun_at >= SAME_SIGNAL_SECONDS:
        hurry()
    return begun_at is None


def refuse_when_draining() -> None:
    """Raise Draining if this process accepts nothing new any more."""
    if is_draining():
        raise Draining(retry_after=RETRY_SECONDS)


@contextmanager
def on_drain(callback: Callable[[], None] = lambda: None) -> Iterator[Turn]:
    """
    Hold an open reader. It is called, once, when it is to go: at once if that is due already.

    A reader that looks by itself asks ``has_come`` of what this yields instead.
    """
    turn = Turn(callback)
    _drain.turns.add(turn)
    if is_draining():
        turn.come()
    try:
        yield turn
    finally:
        turn.drop()
        _drain.turns.discard(turn)


def jitter() -> float:
    """Return the seconds over which readers are sent away."""
    settings = chat_settings()
    return min(settings.drain_jitter_seconds, settings.drain_seconds)


def has_readers() -> bool:
    return bool(_drain.turns)


def time_left(of: float) -> float:
    """Return how many of so many seconds since the beginning are left: none when hurried."""
    if _drain.begun_at is None:
        return of
    return 0.0 if _drain.hurried.is_set() else max(0.0, _drain.begun_at + of - monotonic())


async def hurried() -> None:
    """Return when nothing is to be waited for any more."""
    await _drain.hurried.wait()

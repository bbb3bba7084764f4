"""How many WebSocket frames one connection may send."""

from collections.abc import Callable
from time import monotonic

FRAMES_PER_SECOND = 100
FRAMES_AT_ONCE = 1000
POLICY_VIOLATION = 1008


class FrameBudget:
    """
    A bucket of frames that refills with time.

    Pings and the parts of a message count too: each costs the process the
    same, and none of them reaches the application's own limits.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._left = float(FRAMES_AT_ONCE)
        self._seen = clock()

    def spend(self, frames: int = 1) -> bool:
        """Take frames out of the bucket. Return False when it has not so many."""
        now = self._clock()
        refilled = self._left + (now - self._seen) * FRAMES_PER_SECOND
        self._left = min(refilled, FRAMES_AT_ONCE) - frames
        self._seen = now
        return self._left >= 0

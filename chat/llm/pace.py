"""How far apart the reads of a model are: close while there is time, farther under load."""

import time
from collections.abc import Callable

from chat.conf import chat_settings

# How much longer than `PACE_MS` the pause gets, and how busy the event loop's thread is then.
SLOWEST = 2.0
CALM, BUSY = 0.25, 0.6
SAMPLE_SECONDS = 0.1
WEIGHT = 0.3  # Of the newest sample, so that one burst is no load.


class Pace:
    """
    The pause after a read.

    Each read of each answer costs the same, however many tokens it brings.
    Under load fewer, larger reads leave the time that is needed to keep up. To
    be asked by the thread of one event loop. ``clock`` and ``used`` count the
    seconds that passed and those that the thread worked.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock, self._count = clock, used
        self._load = 0.0
        self._at, self._used = clock(), used()

    def seconds(self) -> float:
        """Return how far apart two reads are to begin now."""
        now = self._clock()
        if (passed := now - self._at) >= SAMPLE_SECONDS:
            used = self._count()
            busy = max(0.0, used - self._used) / passed
            self._load += WEIGHT * (busy - self._load)
            self._at, self._used = now, used
        share = min(1.0, max(0.0, (self._load - CALM) / (BUSY - CALM)))
        return chat_settings().pace_ms / 1000 * (1 + share * (SLOWEST - 1))


pace = Pace()

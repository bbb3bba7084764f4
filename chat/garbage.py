"""
When Python looks for cycles among its objects.

Reference counting frees nearly all that answers and readers leave. What is left must
not pile up for hours; but to look at all objects holds up every reader, the longer the
more is being read: 150 ms with 200 answers of a thousand tokens. So that is done when
nothing is being written or read, and otherwise seldom.
"""

import asyncio
import gc
from collections.abc import Callable

from chat.background import spawn
from chat.drain import is_draining

# How many objects may be left over before the collector looks among the newest, how many such
# looks come before one at older ones, and how many of these before one at all.
THRESHOLDS = (20_000, 5, 50)
LOOK_SECONDS = 1.0


def begin(is_busy: Callable[[], bool]) -> None:
    """Leave what there is now alone for good, and look through the rest when nobody is held up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    spawn(_tidy(is_busy))


async def _tidy(is_busy: Callable[[], bool]) -> None:
    looks = _looks()
    while not is_draining():
        await asyncio.sleep(LOOK_SECONDS)
        before, looks = looks, _looks()
        # Readers of other processes' answers make objects, too.
        if looks == before and not is_busy() and any(gc.get_count()[1:]):
            gc.collect()


def _looks() -> int:
    """Return how often the collector has looked among the newest."""
    return int(gc.get_stats()[0]["collections"])

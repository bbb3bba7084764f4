"""
The product's settings on a machine whose wall clock is wrong, and jumps.

The file named by ``FAULTS_CLOCK`` holds how many seconds it is ahead; it is read
again each time somebody looks at the clock.
"""

import datetime
import os
import time
from contextlib import suppress
from pathlib import Path

from django.utils import timezone

_ahead = Path(os.environ["FAULTS_CLOCK"])
_now, _time = timezone.now, time.time


def ahead() -> float:
    with suppress(OSError, ValueError):
        return float(_ahead.read_text())
    return 0.0


def shifted_now() -> datetime.datetime:
    return _now() + datetime.timedelta(seconds=ahead())


# Before anything of the site is imported: models keep the function that they find.
timezone.now = shifted_now
time.time = lambda: _time() + ahead()

from tests.settings import *  # noqa: E402, F403

"""
Points at which a process can be told to die, for tests of what it then leaves behind.

``CHAT_FAILPOINT=<name>`` in the environment of a process makes it end as by
``kill -9`` when it reaches that point, ``<name>:<n>`` when it does so for the
nth time. Without the variable nothing is counted or looked up.
"""

import os
import signal
import threading
from collections.abc import Callable

VARIABLE = "CHAT_FAILPOINT"
POINTS = (
    "before-accept-commit",  # A prompt is written, not yet committed.
    "after-accept-commit",  # Committed, and nobody told.
    "after-accept",  # Its sender is being told.
    "after-upstream-open",  # The model server has begun to answer.
    "before-append",  # An event is on its way to the log.
    "after-append",  # An event is stored, and readers may see it.
    "before-end-commit",  # The end and its text are written, not yet committed.
    "after-end-commit",  # Committed, and no reader has seen it.
    "during-stop",  # The writer is told to stop; no end is written.
    "during-recovery",  # A dead process's generation is claimed, not yet ended.
    "during-retention",  # A rule has taken something, and there is more.
)


def _nowhere(name: str) -> None:
    """Go on: no point was named when the process started."""


def point(described: str) -> Callable[[str], None]:
    """
    Return what `reach()` is to be for a value of the variable.

    Raise ValueError for a point that does not exist: a test that waits for it
    would prove nothing.
    """
    if not described:
        return _nowhere
    wanted, _, nth = described.partition(":")
    if wanted not in POINTS:
        raise ValueError(f"{VARIABLE}={described}: no such point. There are {', '.join(POINTS)}.")
    left = int(nth or 1)
    lock = threading.Lock()  # Units of database work have threads of their own.

    def die_there(name: str) -> None:
        nonlocal left
        if name != wanted:
            return
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return die_there


reach = point(os.environ.get(VARIABLE, ""))

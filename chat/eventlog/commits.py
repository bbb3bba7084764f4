"""Commit together what many writers add."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from chat.background import spawn
from chat.database import in_transaction
from chat.errors import Overloaded, StorageFailed
from chat.eventlog import storage
from chat.eventlog.storage import Entry

logger = logging.getLogger(__name__)

# How far apart commits are while there is always something to commit.
COMMIT_SECONDS = 0.02
# A database that is away, or locked, is waited for so long; readers wait meanwhile.
PATIENCE_SECONDS = 30.0
RETRY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)  # The last one is repeated.

OnOutcome = Callable[[Exception | None], None]


class GroupCommit:
    """
    Takes entries of all generations of a process and commits them in one transaction.

    The first entry after a pause is committed at once, and so is one that is
    ``urgent``; others wait until `COMMIT_SECONDS` after the previous commit.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Entry, OnOutcome]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_committing = False
        self._next_at = 0.0

    def add(self, entry: Entry, on_outcome: OnOutcome, *, urgent: bool) -> None:
        """Take an entry. ``on_outcome`` is called with what is wrong, None once committed."""
        self._waiting.append((entry, on_outcome))
        if self._is_committing:
            return
        if self._timer is None or urgent:
            self._begin_at(0.0 if urgent else self._next_at)

    def _begin_at(self, time: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(time, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._is_committing = True
        spawn(self._commit_waiting())

    async def _commit_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        self._next_at = asyncio.get_running_loop().time() + COMMIT_SECONDS
        try:
            outcomes = await _commit([entry for entry, _ in batch])
        finally:
            self._is_committing = False
        for (_, on_outcome), error in zip(batch, outcomes, strict=True):
            on_outcome(error)
        if self._waiting:
            self._begin_at(self._next_at)


async def _commit(entries: Sequence[Entry]) -> Sequence[Exception | None]:
    loop = asyncio.get_running_loop()
    patient_until = loop.time() + PATIENCE_SECONDS
    waits = iter(RETRY_SECONDS)
    while True:
        try:
            return await in_transaction(storage.write, entries)
        except Overloaded as exc:
            if loop.time() > patient_until:
                return [_failed(exc)] * len(entries)
        except Exception as exc:
            if len(entries) > 1:  # One bad entry must not take the others along.
                return [(await _commit([entry]))[0] for entry in entries]
            return [_failed(exc)]
        await asyncio.sleep(next(waits, RETRY_SECONDS[-1]))


def _failed(exc: Exception) -> Exception:
    if isinstance(exc, StorageFailed):
        return exc
    logger.error("Events could not be stored", exc_info=exc)
    failed = StorageFailed()
    failed.__cause__ = exc
    return failed

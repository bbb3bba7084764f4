"""Bring what the writers of this process have to Redis, and keep it there."""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_database
from chat.errors import ChatError, Fenced, StorageFailed
from chat.eventlog import ends
from chat.eventlog.image import Image
from chat.eventlog.streams import FENCED, LOST, MAX_PUSH, Push, Streams, Unavailable
from chat.events import Event

logger = logging.getLogger(__name__)

# How far apart pushes are while there is always something to push.
PUSH_SECONDS = 0.02
# The first retry is for a connection that was stale; then Redis is left in peace.
RETRY_SECONDS = (0.05, 1.0)  # The last one is repeated.
# Redis is waited for so long; then the generation has to end.
PATIENCE_SECONDS = 8.0
# An ended log that Redis does not take is forgotten: its readers have the generation's row.
LEAVE_SECONDS = 60.0
# A log outlives the longest run by so much if nobody is left to end it.
ORPHAN_SECONDS = 60.0


class Written(Image):
    """
    A log that this process writes: what readers see, and what is on its way.

    What Redis did not take in time stays ``pending``: Redis may have it, and
    others may have seen it. The log goes on from there, or not at all.
    """

    __slots__ = ("acked", "epoch", "generation_id", "left_at", "may_restore", "pending", "settlers")

    def __init__(self, generation_id: UUID, epoch: int, events: list[Event]) -> None:
        super().__init__(events)
        self.generation_id = generation_id
        self.epoch = epoch
        self.acked = len(events)  # How far Redis has it.
        self.pending: list[Event] = []
        self.settlers: list[asyncio.Future[Exception | None]] = []
        self.may_restore = False  # Is it certain that no later writer is there?
        self.left_at = 0.0  # When the log had ended and was waiting for Redis alone.

    @property
    def total(self) -> int:
        return len(self.events) + len(self.pending)

    def show(self) -> None:
        """Let readers see what is on its way, or was."""
        if self.pending:
            shown, self.pending = self.pending, []
            self.extend(shown)

    def settle(self, error: Exception | None = None) -> None:
        """Tell who waits for what is on its way."""
        settlers, self.settlers = self.settlers, []
        for settler in settlers:
            if not settler.done():
                settler.set_result(error)

    def refuse(self, error: ChatError) -> None:
        """End the writing: the log is gone, or another's."""
        if not isinstance(error, Fenced):
            self.expire(error)
        self.settle(error)

    def give_up(self) -> None:
        """Have waited long enough for Redis."""
        self.settle(StorageFailed(retry_after=10))

    def next_push(self) -> Push:
        events = self.events[self.acked : self.acked + MAX_PUSH]
        if len(events) < MAX_PUSH:
            events += self.pending[max(0, self.acked - len(self.events)) :]
        is_last = bool(events) and events[-1].kind.is_terminal
        return Push(
            generation_id=self.generation_id,
            epoch=self.epoch,
            after=self.acked,
            events=events,
            may_restore=self.may_restore,
            seconds_to_live=chat_settings().retention_seconds if is_last else longest_life(),
        )


def longest_life() -> float:
    """Return the seconds after which a log that nobody ends may go."""
    settings = chat_settings()
    return settings.max_generation_seconds + settings.retention_seconds + ORPHAN_SECONDS


class Pushes:
    """
    One task that pushes all logs that have something new, together.

    The first after a pause goes at once, and so does what is ``urgent``; others
    wait until `PUSH_SECONDS` after the previous push. A log stays until Redis
    has it whole: what Redis loses meanwhile is pushed again.
    """

    def __init__(self, streams: Streams, on_outcome: Callable[[Written, bool], None]) -> None:
        self._streams = streams
        # Called with a log that Redis has whole, or, with False, that is not to be pushed any more.
        self._on_outcome = on_outcome
        self._logs: dict[UUID, Written] = {}
        self._pusher: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._failures = 0
        self._is_closed = False

    def add(self, log: Written, *, urgent: bool = False) -> None:
        """Push what a log has."""
        self._logs[log.generation_id] = log
        if urgent:
            self._hurry.set()
        if self._pusher is None or self._pusher.done():
            self._pusher = spawn(self._push_all())

    async def close(self, seconds: float) -> None:
        """Push what there is, for so long, and no more then."""
        if self._pusher is not None:
            await asyncio.wait([self._pusher], timeout=seconds)
        self._is_closed = True

    @property
    def tasks(self) -> set[asyncio.Task[None] | None]:
        """What may wait for Redis just now."""
        return {self._pusher}

    async def _push_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._logs and not self._is_closed:
            self._hurry.clear()
            next_at = loop.time() + PUSH_SECONDS
            logs, self._logs = self._logs, {}
            if not await self._push(list(logs.values())):
                waits = min(self._failures, len(RETRY_SECONDS) - 1)
                self._failures += 1
                await asyncio.sleep(RETRY_SECONDS[waits])
                continue
            self._failures = 0
            if self._logs:
                await self._pause(next_at)

    async def _pause(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._hurry.wait()
        except TimeoutError:
            return

    async def _push(self, logs: list[Written]) -> bool:
        """Return False if Redis took nothing."""
        pushes = [log.next_push() for log in logs]
        try:
            outcomes = await self._streams.push(pushes)
        except Unavailable as exc:
            outcomes = [exc] * len(logs)
        failed = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failed and not self._failures:
            logger.warning("Redis did not take events, and is tried again: %s", failed[0])
        lost = []
        for log, push, outcome in zip(logs, pushes, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._keep(log)
            elif outcome == FENCED:
                log.refuse(Fenced())
                self._on_outcome(log, False)
            elif outcome == LOST:
                lost.append(log)
            else:
                self._acknowledge(log, push, outcome)
        if lost:
            await self._look_who_writes(lost)
        return not failed

    def _acknowledge(self, log: Written, push: Push, last: int) -> None:
        log.acked = min(last, log.total)
        log.may_restore = False
        if last > push.after + len(push.events):  # Of another, who had this epoch.
            log.refuse(Fenced())
            self._on_outcome(log, False)
        elif log.acked < log.total:
            self._logs.setdefault(log.generation_id, log)
        else:
            log.show()
            log.settle()
            self._on_outcome(log, True)

    async def _look_who_writes(self, logs: list[Written]) -> None:
        # Redis knows no writer of such a log: it was emptied, or this writer overslept its end.
        try:
            errors = await in_database(
                ends.check_writers, {log.generation_id: log.epoch for log in logs}
            )
        except ChatError:
            errors = None  # The next round will tell.
        for log in logs:
            error = errors.get(log.generation_id) if errors is not None else None
            if error is not None:
                log.refuse(error)
                self._on_outcome(log, False)
                continue
            if errors is not None:
                log.may_restore = True
                log.acked = 0
            self._logs.setdefault(log.generation_id, log)

    def _keep(self, log: Written) -> None:
        if log.left_at and asyncio.get_running_loop().time() > log.left_at + LEAVE_SECONDS:
            self._on_outcome(log, False)
        else:
            self._logs.setdefault(log.generation_id, log)

"""An event log in Redis: many processes, and no write to the database for each event."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from chat.background import outcome_of, spawn
from chat.conf import chat_settings
from chat.database import in_database, in_transaction
from chat.errors import ChatError, EventsExpired, Fenced, LogClosed, Overloaded, StorageFailed
from chat.eventlog import ends
from chat.eventlog.base import BaseEventLog
from chat.eventlog.followed import UNSURE_SECONDS, Followed
from chat.eventlog.image import Image
from chat.eventlog.pushes import PATIENCE_SECONDS, Pushes, Written, longest_life
from chat.eventlog.streams import Streams, Unavailable
from chat.events import Event, EventKind

logger = logging.getLogger(__name__)

# The first words must not wait for a push that others share.
URGENT_EVENTS = 3
# An ended log is read from memory for so long, and then from Redis.
LINGER_SECONDS = 5.0
KEEP_SECONDS = 1.0
OPEN_SECONDS = 2.0
# How long to wait for what is on its way before counting it in.
SETTLE_SECONDS = 0.5
CLOSE_SECONDS = 2.0


class RedisEventLog(BaseEventLog):
    """
    Redis Streams, shown to readers once Redis has them.

    Prompts and finished answers are not in Redis: they are accepted and saved
    whether it is there or not. An answer that begins or runs while Redis is
    away, full or stalled waits for it, and the model with it, for up to 8
    seconds; then it ends as ``failed``. A Redis that comes back empty gets the
    log again from its writer's memory. A log that Redis and its writer have
    lost together is gone; the text saved every second is kept.
    """

    supports_many_processes = True
    is_durable = True
    can_lose_events = True

    def __init__(self) -> None:
        self._written: dict[UUID, Written] = {}
        self._streams = Streams()
        self._pushes = Pushes(self._streams, self._on_outcome)
        self._followed = Followed(self._streams)
        self._keeper: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()

    # Writing ----------------------------------------------------------------

    async def begin(
        self, generation_id: UUID, *, epoch: int = 0, stored: Sequence[Event] = ()
    ) -> None:
        """See the base class. Redis is not asked: the first append tells."""
        if not self._has(generation_id, epoch):
            self._write(generation_id, epoch, [], may_restore=True)

    async def open(self, generation_id: UUID, *, epoch: int = 0) -> list[Event]:
        """
        See the base class.

        Return no events if Redis may have lost some. Raise StorageFailed if
        Redis does not answer in `OPEN_SECONDS`.
        """
        if not self._has(generation_id, epoch):
            opening = spawn(self._open(generation_id, epoch))
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    await outcome_of(opening)
            except TimeoutError:
                raise StorageFailed(retry_after=10) from None
        return list(self._log(generation_id).events)

    async def _open(self, generation_id: UUID, epoch: int) -> None:
        try:
            errors = await in_database(ends.check_writers, {generation_id: epoch})
            if error := errors.get(generation_id):
                raise error
            events = await self._streams.open(generation_id, epoch, longest_life())
        except Unavailable as exc:
            raise StorageFailed(retry_after=10) from exc
        if not self._has(generation_id, epoch):
            self._write(generation_id, epoch, events)

    def _has(self, generation_id: UUID, epoch: int) -> bool:
        log = self._written.get(generation_id)
        if log is not None and log.epoch > epoch:
            raise Fenced
        return log is not None and log.epoch == epoch

    def _write(
        self, generation_id: UUID, epoch: int, events: list[Event], *, may_restore: bool = False
    ) -> None:
        earlier = self._written.get(generation_id)
        log = self._written[generation_id] = Written(generation_id, epoch, events)
        log.may_restore = may_restore
        if earlier is not None:
            earlier.refuse(Fenced())
            earlier.wake()
        self._followed.drop(generation_id)
        if self._keeper is None or self._keeper.done():
            self._keeper = spawn(self._keep())

    async def append(self, generation_id: UUID, kind: EventKind, **data: Any) -> Event:
        log = self._log(generation_id)
        await self._settle(log, PATIENCE_SECONDS)
        if log.error is not None:
            raise EventsExpired
        if log.has_ended:
            raise LogClosed
        if log.pending:
            raise StorageFailed
        event = Event.create(cursor=log.cursor + 1, kind=kind, data=data)
        log.pending.append(event)
        outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        log.settlers.append(outcome)
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, log.give_up)
        outcome.add_done_callback(lambda _: timer.cancel())
        self._pushes.add(log, urgent=event.cursor <= URGENT_EVENTS)
        if error := await outcome:
            raise error
        return event

    async def append_end(
        self, generation_id: UUID, kind: EventKind, *, save: Callable[[], bool], **data: Any
    ) -> Event | None:
        """
        See the base class. Does not wait for Redis.

        Who looks there in vain for the end is told it by the generation's row.
        """
        log = self._log(generation_id)
        return await outcome_of(spawn(self._append_end(log, kind, save, data)))

    async def _append_end(
        self, log: Written, kind: EventKind, save: Callable[[], bool], data: dict[str, Any]
    ) -> Event | None:
        await self._settle(log, SETTLE_SECONDS)
        if log.error is not None:
            raise EventsExpired
        if log.has_ended:
            raise LogClosed
        event = Event.create(cursor=log.total + 1, kind=kind, data=data)
        if not await in_transaction(ends.save_end, log.generation_id, log.epoch, save):
            self._forget(log)
            return None
        log.pending.append(event)
        log.show()
        log.settle()
        log.left_at = asyncio.get_running_loop().time()
        self._pushes.add(log, urgent=True)
        return event

    async def settled(self, generation_id: UUID) -> list[Event]:
        log = self._log(generation_id)
        await self._settle(log, SETTLE_SECONDS)
        return [*log.events, *log.pending]

    async def discard(self, generation_id: UUID) -> None:
        if log := self._written.get(generation_id):
            log.refuse(EventsExpired())
            self._forget(log)

    @staticmethod
    async def _settle(log: Written, seconds: float) -> None:
        ends_at = asyncio.get_running_loop().time() + seconds
        while log.settlers and (left := ends_at - asyncio.get_running_loop().time()) > 0:
            settler: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
            log.settlers.append(settler)
            await asyncio.wait([settler], timeout=left)

    def _log(self, generation_id: UUID) -> Written:
        try:
            return self._written[generation_id]
        except KeyError:
            raise EventsExpired from None

    # Reading ----------------------------------------------------------------

    async def last(self, generation_id: UUID, *, seen: int = 0) -> Event | None:
        return (await self._image(generation_id, seen)).last()

    async def read(self, generation_id: UUID, *, after: int, block: float) -> list[Event]:
        image = await self._image(generation_id, after)
        return await image.read(after=after, block=block)

    async def _image(self, generation_id: UUID, seen: int) -> Image:
        loop = asyncio.get_running_loop()
        unsure_until = loop.time() + UNSURE_SECONDS
        while True:
            if log := self._written.get(generation_id):
                return log
            tail = await self._followed.get(generation_id)
            if seen > tail.cursor and not tail.is_unsure and tail.error is None:
                await self._followed.catch_up(generation_id, seen)
            if not tail.is_unsure:
                return tail
            if loop.time() > unsure_until:
                raise Overloaded(retry_after=2)
            await asyncio.sleep(0.05)

    # Keeping and forgetting -----------------------------------------------------

    def _on_outcome(self, log: Written, is_whole: bool) -> None:
        if not is_whole:
            self._forget(log)
        elif log.has_ended:
            seconds = min(LINGER_SECONDS, chat_settings().retention_seconds)
            asyncio.get_running_loop().call_later(seconds, self._forget, log)

    def _forget(self, log: Written) -> None:
        if self._written.get(log.generation_id) is log:
            del self._written[log.generation_id]
        log.wake()  # Who still waits here reads on from Redis.

    async def _keep(self) -> None:
        """See to it that Redis has what runs here, even while nothing is appended."""
        while self._written:
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_SECONDS):
                    await self._is_closing.wait()
            running = {pk: log for pk, log in self._written.items() if not log.has_ended}
            if not running:
                continue
            try:
                await self._end_what_is_not_ours(running)
                await self._streams.prepare()
            except (ChatError, *Unavailable) as exc:
                logger.debug("The logs written here were not looked after: %s", exc)
            for log in running.values():
                if log.error is None and self._written.get(log.generation_id) is log:
                    self._pushes.add(log)

    async def _end_what_is_not_ours(self, running: dict[UUID, Written]) -> None:
        epochs = {pk: log.epoch for pk, log in running.items()}
        errors = await in_database(ends.check_writers, epochs)
        for generation_id, error in errors.items():
            running[generation_id].refuse(error)
            self._forget(running[generation_id])
        if gone := [pk for pk, error in errors.items() if isinstance(error, EventsExpired)]:
            await self._streams.delete(gone)

    async def close(self) -> None:
        await self._pushes.close(CLOSE_SECONDS)
        self._written.clear()
        self._is_closing.set()
        await self._followed.close()
        # No task that waits for Redis is ever cancelled: the client might take the next reply
        # for this one's. Closing its connection ends the waiting.
        await self._streams.close()
        started = (self._keeper, *self._pushes.tasks, *self._followed.tasks)
        if tasks := [task for task in started if task is not None]:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        await self._streams.close()  # And what was just being connected.

"""An event log in the database: what a reader has seen is on disk."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_database, in_transaction
from chat.errors import EventsExpired, Fenced, LogClosed, Overloaded, StorageFailed
from chat.eventlog import storage
from chat.eventlog.base import BaseEventLog
from chat.eventlog.commits import GroupCommit
from chat.eventlog.image import Image
from chat.eventlog.storage import AlreadyEnded, Entry
from chat.eventlog.tails import Tails
from chat.eventlog.wakeups import WakeUps
from chat.events import Event, EventKind
from chat.failpoints import reach

logger = logging.getLogger(__name__)

# The first words must not wait for a commit that others share.
URGENT_EVENTS = 3
# An ended log is read from memory for so long, and then from its rows.
LINGER_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 60.0
PAUSE_SECONDS = 0.05
LOGS_PER_DELETION = 20  # Few, for nothing is committed meanwhile on SQLite.


class _Written(Image):
    """A log that this process writes. At most one event is on its way."""

    __slots__ = ("epoch", "is_in_doubt", "is_waiting", "settlers")

    def __init__(self, events: list[Event], epoch: int) -> None:
        super().__init__(events)
        self.epoch = epoch
        self.is_waiting = False
        self.is_in_doubt = False  # After a failure, only the database knows what it took.
        self.settlers: list[asyncio.Future[None]] = []

    def settle(self, event: Event, error: Exception | None) -> None:
        """Show the event on its way, or note why it is not stored."""
        self.is_waiting = False
        if error is None:
            self.extend([event])
        elif isinstance(error, EventsExpired):
            self.expire()
        elif isinstance(error, StorageFailed):
            self.is_in_doubt = True
        settlers, self.settlers = self.settlers, []
        for settler in settlers:
            if not settler.done():
                settler.set_result(None)


class DatabaseEventLog(BaseEventLog):
    """
    Rows of the site's own database, shown to readers only once they are committed.

    The events of all generations of a process share a commit. Readers in the
    writing process are served from memory, others from the rows. A log's rows
    are deleted ``RETENTION_SECONDS`` after its end.
    """

    supports_many_processes = True
    is_durable = True
    can_lose_events = False

    def __init__(self) -> None:
        self._written: dict[UUID, _Written] = {}
        self._commits = GroupCommit()
        self._tails = Tails()
        self._wake_ups = WakeUps(self._tails.wake)
        self._housekeeper: asyncio.Task[None] | None = None

    # Writing ----------------------------------------------------------------

    async def open(self, generation_id: UUID, *, epoch: int = 0) -> list[Event]:
        log = self._written.get(generation_id)
        if log is None or log.epoch < epoch:
            events = await in_transaction(storage.take_over, generation_id, epoch)
            self._forget(generation_id)
            log = self._written[generation_id] = _Written(events, epoch)
            self._tails.drop(generation_id)
        if log.epoch > epoch:
            raise Fenced
        return list(log.events)

    def store_first(self, generation_id: UUID, *, epoch: int, event: Event) -> bool:
        storage.insert(generation_id, event)
        return True

    async def begin(
        self, generation_id: UUID, *, epoch: int = 0, stored: Sequence[Event] = ()
    ) -> None:
        # Nothing more is there to be read, and the next commit tells whether the epoch holds.
        log = self._written.get(generation_id)
        if log is None or log.epoch < epoch:
            self._forget(generation_id)
            self._written[generation_id] = _Written(list(stored), epoch)
            self._tails.drop(generation_id)
            if stored:
                self._wake_ups.tell(generation_id)
        elif log.epoch > epoch:
            raise Fenced

    async def append(self, generation_id: UUID, kind: EventKind, **data: Any) -> Event:
        event = await self._append(generation_id, kind, data)
        if kind.is_terminal:
            self._linger(generation_id)
        return event

    async def append_end(
        self, generation_id: UUID, kind: EventKind, *, save: Callable[[], bool], **data: Any
    ) -> Event | None:
        try:
            event = await self._append(generation_id, kind, data, save)
        except AlreadyEnded:
            return None
        self._linger(generation_id)
        return event

    async def add(self, generation_id: UUID, kind: EventKind, **data: Any) -> None:
        log = self._log(generation_id)
        if log.is_waiting:
            await self._settle(log)
        self._send(generation_id, log, kind, data)

    async def flush(self, generation_id: UUID) -> None:
        log = self._log(generation_id)
        await self._settle(log)
        self._check(log)

    async def settled(self, generation_id: UUID) -> list[Event]:
        log = self._log(generation_id)
        await self._settle(log)
        if log.is_in_doubt:
            events = await in_transaction(storage.take_over, generation_id, log.epoch)
            log.is_in_doubt = False
            log.extend(events[log.cursor :])
        return list(log.events)

    async def _append(
        self,
        generation_id: UUID,
        kind: EventKind,
        data: dict[str, Any],
        save: Callable[[], bool] | None = None,
    ) -> Event:
        log = self._log(generation_id)
        await self._settle(log)
        outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        event = self._send(generation_id, log, kind, data, save, outcome)
        if error := await outcome:
            raise error
        return event

    def _send(
        self,
        generation_id: UUID,
        log: _Written,
        kind: EventKind,
        data: dict[str, Any],
        save: Callable[[], bool] | None = None,
        outcome: "asyncio.Future[Exception | None] | None" = None,
    ) -> Event:
        self._check(log)
        if log.has_ended:
            raise LogClosed
        event = Event.create(cursor=log.cursor + 1, kind=kind, data=data)
        entry = Entry(generation_id, log.epoch, event, save)
        reach("before-append")
        log.is_waiting = True
        on_outcome = partial(self._on_outcome, log, entry, outcome)
        self._commits.add(entry, on_outcome, urgent=event.cursor <= URGENT_EVENTS)
        return event

    @staticmethod
    def _check(log: _Written) -> None:
        if log.is_gone:
            raise EventsExpired
        if log.is_in_doubt:
            raise StorageFailed

    def _on_outcome(
        self,
        log: _Written,
        entry: Entry,
        outcome: "asyncio.Future[Exception | None] | None",
        error: Exception | None,
    ) -> None:
        if entry.save is not None and error is None:
            reach("after-end-commit")
        # Not left to the caller, who may have been cancelled: what is stored is shown.
        log.settle(entry.event, error)
        if error is None:
            self._wake_ups.tell(entry.generation_id)
            if entry.save is None:
                reach("after-append")
        # By then another writer may have opened the log here.
        ours = self._written.get(entry.generation_id) is log
        if ours and isinstance(error, (EventsExpired, Fenced, AlreadyEnded)):
            self._forget(entry.generation_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(error)

    @staticmethod
    async def _settle(log: _Written) -> None:
        while log.is_waiting:
            settler: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            log.settlers.append(settler)
            await settler

    def _log(self, generation_id: UUID) -> _Written:
        try:
            return self._written[generation_id]
        except KeyError:
            raise EventsExpired from None

    # Reading ----------------------------------------------------------------

    async def last(self, generation_id: UUID, *, seen: int = 0) -> Event | None:
        if not self._is_in_memory(generation_id):
            end = await in_database(storage.fetch_end, generation_id)
            if end is not None:
                return end
        return (await self._image(generation_id, seen)).last()

    async def read(self, generation_id: UUID, *, after: int, block: float) -> list[Event]:
        if not self._is_in_memory(generation_id):
            # One that has ended is read page by page, however long it is.
            fetch = partial(storage.fetch_page, generation_id, after=after)
            page, has_more = await in_database(fetch)
            if has_more or (page and page[-1].kind.is_terminal):
                return page
        image = await self._image(generation_id, after)
        return await image.read(after=after, block=block)

    def _is_in_memory(self, generation_id: UUID) -> bool:
        return generation_id in self._written or generation_id in self._tails

    async def _image(self, generation_id: UUID, seen: int) -> Image:
        if log := self._written.get(generation_id):
            return log
        tail = await self._tails.get(generation_id)
        return tail if seen <= tail.cursor else await self._tails.get_fresh(generation_id)

    async def close(self) -> None:
        self._wake_ups.close()

    # Forgetting ---------------------------------------------------------------

    def _linger(self, generation_id: UUID) -> None:
        loop = asyncio.get_running_loop()
        seconds = min(LINGER_SECONDS, chat_settings().retention_seconds)
        loop.call_later(seconds, self._forget, generation_id)
        if self._housekeeper is None or self._housekeeper.done():
            self._housekeeper = spawn(self._keep_house())

    def _forget(self, generation_id: UUID) -> None:
        if log := self._written.pop(generation_id, None):
            log.wake()  # Who still waits here reads on from the rows.

    async def _keep_house(self) -> None:
        while True:
            retention = chat_settings().retention_seconds
            await asyncio.sleep(min(HOUSEKEEPING_SECONDS, retention / 2 + 0.05))
            delete = partial(storage.delete_expired, retention, limit=LOGS_PER_DELETION)
            try:
                deleted = LOGS_PER_DELETION
                while deleted:
                    deleted = await in_transaction(delete)
                    await asyncio.sleep(PAUSE_SECONDS)  # Others write meanwhile.
            except Overloaded:
                continue
            except Exception:
                logger.exception("Expired event logs were not deleted")

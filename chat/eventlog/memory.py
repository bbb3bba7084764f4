"""An event log in the memory of one process."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from chat.background import outcome_of, spawn
from chat.conf import chat_settings
from chat.database import in_transaction
from chat.errors import EventsExpired, Fenced, LogClosed
from chat.eventlog.base import BaseEventLog
from chat.eventlog.image import Image
from chat.events import Event, EventKind


class MemoryEventLog(BaseEventLog):
    """
    Fast, and gone with the process: readers in other processes see nothing.

    Enough where one process serves a site and the loss of the last second of
    a running answer in a crash is acceptable. All methods belong to one event
    loop; an append does not yield to it.
    """

    def __init__(self) -> None:
        self._logs: dict[UUID, Image] = {}
        self._epochs: dict[UUID, int] = {}

    async def open(self, generation_id: UUID, *, epoch: int = 0) -> list[Event]:
        if epoch < self._epochs.get(generation_id, 0):
            raise Fenced
        self._epochs[generation_id] = epoch
        return list(self._logs.setdefault(generation_id, Image()).events)

    async def expect(self, generation_id: UUID) -> None:
        self._logs.setdefault(generation_id, Image())

    async def append(self, generation_id: UUID, kind: EventKind, **data: Any) -> Event:
        log = self._log(generation_id)
        if log.has_ended:
            raise LogClosed
        event = Event.create(cursor=log.cursor + 1, kind=kind, data=data)
        log.extend([event])
        if kind.is_terminal:
            loop = asyncio.get_running_loop()
            loop.call_later(chat_settings().retention_seconds, self._forget, generation_id)
        return event

    async def append_end(
        self, generation_id: UUID, kind: EventKind, *, save: Callable[[], bool], **data: Any
    ) -> Event | None:
        if self._log(generation_id).has_ended:
            raise LogClosed
        # Detached: what is saved is shown, even if the caller is cancelled meanwhile.
        epoch = self._epochs.get(generation_id, 0)
        return await outcome_of(spawn(self._append_end(generation_id, epoch, kind, save, data)))

    async def _append_end(
        self,
        generation_id: UUID,
        epoch: int,
        kind: EventKind,
        save: Callable[[], bool],
        data: dict[str, Any],
    ) -> Event | None:
        if not await in_transaction(save):
            # Before its first writer, who was faster ends this log: that writer, or who else took
            # the prompt out of its queue.
            if epoch and epoch == self._epochs.get(generation_id):
                self._forget(generation_id)
            return None
        return await self.append(generation_id, kind, **data)

    async def settled(self, generation_id: UUID) -> list[Event]:
        return list(self._log(generation_id).events)

    async def last(self, generation_id: UUID, *, seen: int = 0) -> Event | None:
        return self._log(generation_id).last()

    async def read(self, generation_id: UUID, *, after: int, block: float) -> list[Event]:
        return await self._log(generation_id).read(after=after, block=block)

    def _log(self, generation_id: UUID) -> Image:
        try:
            return self._logs[generation_id]
        except KeyError:
            raise EventsExpired from None

    def _forget(self, generation_id: UUID) -> None:
        self._epochs.pop(generation_id, None)
        if log := self._logs.pop(generation_id, None):
            log.expire()

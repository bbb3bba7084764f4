"""Logs that other processes write, as far as readers of this one follow them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from uuid import UUID

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_database
from chat.errors import Overloaded
from chat.eventlog import storage
from chat.eventlog.image import Image
from chat.events import Event

# Without any wake-up, this is how late a reader may be.
POLL_SECONDS = 0.5
# Kept a little longer than it is read: readers come back in crowds.
LINGER_SECONDS = 5.0


class Tail(Image):
    __slots__ = ("used_at",)

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__(events)
        self.used_at = 0.0


class Tails:
    """
    One image for all readers of a log here, and one query for all images.

    They are looked up when another process says that it has added something,
    and at least every `POLL_SECONDS`.
    """

    def __init__(self) -> None:
        self._tails: dict[UUID, Tail] = {}
        self._poller: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def __contains__(self, generation_id: UUID) -> bool:
        return generation_id in self._tails

    async def get(self, generation_id: UUID) -> Image:
        """Return the image of a log. Raise EventsExpired if it is not kept."""
        tail = self._tails.get(generation_id)
        if tail is None:
            events = await in_database(storage.fetch_all, generation_id)
            tail = self._tails.setdefault(generation_id, Tail(events))
        if not tail.has_ended or not tail.used_at:
            tail.used_at = asyncio.get_running_loop().time()
        if self._poller is None or self._poller.done():
            self._news.clear()
            self._poller = spawn(self._poll())
        return tail

    async def get_fresh(self, generation_id: UUID) -> Image:
        """
        Return the image of a log as it stands in the database now.

        A reader that comes from another process may have seen more than the
        last look-up of this one has found. Raise as get() does, and Overloaded.
        """
        if (tail := self._tails.get(generation_id)) and not tail.has_ended:
            await self._extend({generation_id: tail.cursor})
        return await self.get(generation_id)

    def drop(self, generation_id: UUID) -> None:
        """Forget a log; who waits here for it looks again."""
        if tail := self._tails.pop(generation_id, None):
            tail.wake()

    def wake(self, generation_ids: set[UUID]) -> None:
        """Look for new events at once if one of these logs is followed here."""
        if not self._tails.keys().isdisjoint(generation_ids):
            self._news.set()

    async def _poll(self) -> None:
        while self._tails:
            try:
                async with asyncio.timeout(POLL_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            self._drop_unused()
            await self._fetch()

    def _drop_unused(self) -> None:
        seconds = min(LINGER_SECONDS, chat_settings().retention_seconds)
        before = asyncio.get_running_loop().time() - seconds
        for generation_id, tail in list(self._tails.items()):
            if not tail.is_awaited and tail.used_at < before:
                del self._tails[generation_id]

    async def _fetch(self) -> None:
        after = {pk: tail.cursor for pk, tail in self._tails.items() if not tail.has_ended}
        if not after:
            return
        with suppress(Overloaded):  # The next round will tell.
            await self._extend(after)

    async def _extend(self, after: Mapping[UUID, int]) -> None:
        found = await in_database(storage.fetch_new, after)
        for generation_id, events in found.items():
            tail = self._tails.get(generation_id)
            if tail is None or tail.cursor != after[generation_id]:
                continue
            if events is None:
                tail.expire()
                del self._tails[generation_id]
            else:
                tail.extend(events)

"""Logs that other processes write to Redis, as far as readers of this one follow them."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chat.background import outcome_of, spawn
from chat.conf import chat_settings
from chat.database import in_database
from chat.errors import ChatError, EventsExpired, Overloaded
from chat.eventlog import ends
from chat.eventlog.ends import Row
from chat.eventlog.image import Image
from chat.eventlog.streams import Streams, Unavailable
from chat.events import Event

logger = logging.getLogger(__name__)

# How long one call waits in Redis: who begins to follow another log waits for it.
BLOCK_SECONDS = 0.1
# How far apart calls are while there is always something new.
READ_SECONDS = 0.02
RETRY_SECONDS = 1.0
# A log should have been begun, or brought back, by its writer within so long.
UNSURE_SECONDS = 2.0
# Of a log without news, the row is looked at so often.
CHECK_SECONDS = 1.0
# Readers wait so long for a Redis that is away.
PATIENCE_SECONDS = 9.0
# And for events that a row says there are, once Redis answers: their writer may be at it.
MISSING_SECONDS = 3.0
# Kept a little longer than it is read: readers come back in crowds.
LINGER_SECONDS = 5.0


class Tail(Image):
    """What is known here of one log."""

    __slots__ = ("_is_unsure", "missing_since", "news_at", "used_at")

    def __init__(self, events: Sequence[Event], *, is_unsure: bool) -> None:
        super().__init__(events)
        # Nothing was found where a writer should be: is it yet to begin, or has Redis lost it?
        self._is_unsure = is_unsure
        self.used_at = 0.0
        self.news_at = 0.0
        self.missing_since = 0.0

    @property
    def is_unsure(self) -> bool:
        return self._is_unsure and not self.events and self.error is None


class Followed:
    """
    One image for all readers of a log here, and one waiting command for all images.

    A log whose writer ended it without telling Redis is ended by its row.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._tails: dict[UUID, Tail] = {}
        self._loading: dict[UUID, asyncio.Task[Tail]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._checking: asyncio.Task[None] | None = None
        self._away_since = 0.0

    async def get(self, generation_id: UUID) -> Tail:
        """Return the image of a log. Raise EventsExpired if it is not kept, or Overloaded."""
        tail = self._tails.get(generation_id)
        if tail is None:
            loading = self._loading.get(generation_id)
            if loading is None:
                loading = self._loading[generation_id] = spawn(self._load(generation_id))
            tail = await outcome_of(loading)
        if not tail.has_ended or not tail.used_at:
            tail.used_at = asyncio.get_running_loop().time()
        if self._reading is None or self._reading.done():
            self._reading = spawn(self._keep_reading())
        if self._checking is None or self._checking.done():
            self._checking = spawn(self._keep_checking())
        return tail

    async def catch_up(self, generation_id: UUID, seen: int) -> None:
        """
        Look a log up again: a reader has seen more of it in another process.

        Raise as get() does, and Overloaded if Redis has come back empty and the
        log is not there again.
        """
        patient_until = asyncio.get_running_loop().time() + UNSURE_SECONDS
        while True:
            found = await outcome_of(spawn(self._found(generation_id)))
            tail = self._tails.get(generation_id)
            if tail is not None and not tail.has_ended:
                tail.extend(found.events[tail.cursor :])
            if found.cursor >= seen or not found.is_unsure:
                return
            if asyncio.get_running_loop().time() > patient_until:
                raise Overloaded(retry_after=2)
            await asyncio.sleep(BLOCK_SECONDS)

    def drop(self, generation_id: UUID) -> None:
        """Forget a log; who waits here for it looks again."""
        if tail := self._tails.pop(generation_id, None):
            tail.wake()

    async def close(self) -> None:
        """Follow nothing any more. What is asked of Redis just now gets an answer, or its end."""
        tails, self._tails = self._tails, {}
        for tail in tails.values():
            tail.wake()
        if self._checking is not None:
            self._checking.cancel()
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=2 * BLOCK_SECONDS)

    @property
    def tasks(self) -> set[asyncio.Task[Any] | None]:
        """What may wait for Redis just now."""
        return {self._reading, *self._loading.values()}

    async def _load(self, generation_id: UUID) -> Tail:
        try:
            tail = self._tails[generation_id] = await self._found(generation_id)
            return tail
        finally:
            del self._loading[generation_id]

    async def _found(self, generation_id: UUID) -> Tail:
        # The row first: what it says has happened, the log may say too by then.
        row = (await in_database(ends.find_rows, [generation_id])).get(generation_id)
        if row is None:
            raise EventsExpired
        try:
            events, is_open = await self._streams.load(generation_id)
        except Unavailable as exc:
            if row.is_terminal:
                raise EventsExpired from exc
            raise Overloaded(retry_after=2) from exc
        tail = Tail(events, is_unsure=not (events or is_open or row.is_unclaimed))
        if _is_gapless(events, after=0) and not (row.is_terminal and not tail.has_ended):
            return tail
        if row.is_terminal and row.cursor == tail.cursor + 1:
            tail.extend([await in_database(ends.terminal_event, generation_id)])
            return tail
        if events and row.cursor > tail.cursor and not row.is_cut:
            return tail  # Its end is on its way to Redis.
        raise EventsExpired

    # News -------------------------------------------------------------------

    async def _keep_reading(self) -> None:
        loop = asyncio.get_running_loop()
        self._away_since = 0.0
        while self._tails:
            self._drop_unused()
            after = {pk: tail.cursor for pk, tail in self._tails.items() if not tail.has_ended}
            next_at = loop.time() + READ_SECONDS
            if not after:
                await asyncio.sleep(BLOCK_SECONDS)
                continue
            try:
                found = await self._streams.wait(after, BLOCK_SECONDS)
            except Unavailable as exc:
                self._miss(exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._away_since = 0.0
            for generation_id, events in found.items():
                self._extend(generation_id, after[generation_id], events)
            await asyncio.sleep(next_at - loop.time())

    def _extend(self, generation_id: UUID, after: int, events: list[Event]) -> None:
        tail = self._tails.get(generation_id)
        if tail is None or tail.cursor != after:
            return
        if _is_gapless(events, after=after):
            tail.news_at = asyncio.get_running_loop().time()
            tail.extend(events)
        else:
            self._end(generation_id, EventsExpired())

    def _miss(self, exc: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if not self._away_since:
            self._away_since = now
            logger.warning("Redis is away, and readers wait: %s", exc)
        elif now > self._away_since + PATIENCE_SECONDS:
            for generation_id, tail in list(self._tails.items()):
                if not tail.has_ended:
                    self._end(generation_id, Overloaded(retry_after=5))

    def _end(self, generation_id: UUID, error: ChatError) -> None:
        self._tails.pop(generation_id).expire(error)

    def _drop_unused(self) -> None:
        seconds = min(LINGER_SECONDS, chat_settings().retention_seconds)
        before = asyncio.get_running_loop().time() - seconds
        for generation_id, tail in list(self._tails.items()):
            if not tail.is_awaited and tail.used_at < before:
                del self._tails[generation_id]

    # Rows -------------------------------------------------------------------

    async def _keep_checking(self) -> None:
        while self._tails:
            await asyncio.sleep(CHECK_SECONDS)
            before = asyncio.get_running_loop().time() - CHECK_SECONDS
            quiet = [
                pk
                for pk, tail in self._tails.items()
                if tail.news_at < before and not tail.has_ended
            ]
            try:
                rows = await in_database(ends.find_rows, quiet) if quiet else {}
                for generation_id in quiet:
                    await self._compare(generation_id, rows.get(generation_id))
            except ChatError:
                continue  # Of the database; the next round will tell.
            except Exception:
                logger.exception("The generations followed here were not looked up")

    async def _compare(self, generation_id: UUID, row: Row | None) -> None:
        tail = self._tails.get(generation_id)
        if tail is None or tail.has_ended or (row is not None and not row.is_terminal):
            return
        if row is not None and row.cursor == tail.cursor + 1:
            event = await in_database(ends.terminal_event, generation_id)
            self._extend(generation_id, row.cursor - 1, [event])
            return
        now = asyncio.get_running_loop().time()
        if self._away_since or not tail.missing_since:
            tail.missing_since = now
        is_late = now > tail.missing_since + MISSING_SECONDS
        if row is None or row.is_cut or row.cursor <= tail.cursor or is_late:
            self._end(generation_id, EventsExpired())


def _is_gapless(events: Sequence[Event], *, after: int) -> bool:
    """Tell whether events follow a cursor. In a stream they ascend, so the ends tell."""
    return not events or (events[0].cursor, events[-1].cursor) == (after + 1, after + len(events))

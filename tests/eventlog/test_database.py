"""The event log in the site's own database, on SQLite and on PostgreSQL."""

import asyncio
from functools import partial
from unittest import mock

from django.test import TransactionTestCase

from chat.database import in_database, in_transaction
from chat.errors import EventsExpired, Fenced, InvalidCursor, StorageFailed
from chat.eventlog.database import DatabaseEventLog
from chat.events import Event, EventKind
from chat.models import Generation, StoredEvent
from tests.eventlog.contract import EventLogContract
from tests.eventlog.rows import running_generation


class DatabaseEventLogTests(EventLogContract, TransactionTestCase):
    def make_log(self):
        return DatabaseEventLog()

    async def make_generation(self):
        return (await running_generation()).pk

    async def end_row(self):
        row = Generation.objects.filter(pk=self.generation_id)
        await in_transaction(row.update, status="done", ended_at="2020-01-01T00:00:00Z")

    async def write(self, *texts, end=EventKind.DONE):
        await super().write(*texts, end=end)
        if end:
            await self.end_row()

    def rows(self):
        rows = StoredEvent.objects.filter(generation_id=self.generation_id).order_by("cursor")
        return list(rows.values_list("cursor", "kind", "data"))

    async def test_event_is_committed_before_a_reader_sees_it(self):
        await self.begin()
        reader = asyncio.create_task(self.log.read(self.generation_id, after=0, block=5))
        await asyncio.sleep(0)
        writer = asyncio.create_task(self.write("a", end=None))
        (event,) = await reader
        assert await in_database(self.rows) == [(1, "delta", event.json)]
        await writer

    async def test_first_event_is_stored_with_the_claim_of_its_generation(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        first = Event.create(cursor=1, kind=EventKind.STARTED, data={"model": "demo"})
        store = partial(self.log.store_first, self.generation_id, epoch=0, event=first)
        assert await in_transaction(store)
        elsewhere = DatabaseEventLog()
        assert await elsewhere.read(self.generation_id, after=0, block=0) == [first]
        await self.log.begin(self.generation_id, epoch=0, stored=[first])
        await self.write("a")
        events = await self.log.read(self.generation_id, after=0, block=0)
        assert [event.cursor for event in events] == [1, 2, 3]
        assert await in_database(self.rows) == [(e.cursor, e.kind, e.json) for e in events]

    async def test_what_could_not_be_added_is_told_by_the_flush(self):
        await self.begin()
        await self.write("a", end=None)
        await in_transaction(Generation.objects.filter(pk=self.generation_id).delete)
        await self.log.add(self.generation_id, EventKind.DELTA, text="b")
        with self.assertRaises(EventsExpired):
            await self.log.flush(self.generation_id)

    async def test_full_disk_is_told_by_the_flush(self):
        await self.begin()
        await self.write("a", end=None)
        with mock.patch("chat.eventlog.storage.write", side_effect=StorageFailed):
            await self.log.add(self.generation_id, EventKind.DELTA, text="b")
            with self.assertRaises(StorageFailed):
                await self.log.flush(self.generation_id)
        # Only the database knows whether it took that.
        assert len(await self.log.settled(self.generation_id)) == 1

    async def test_begun_log_that_another_process_took_over_is_not_written(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        row = Generation.objects.filter(pk=self.generation_id)
        await in_transaction(row.update, epoch=2)  # By whoever thought this process dead.
        await self.log.begin(self.generation_id, epoch=1)
        with self.assertRaises(Fenced):
            await self.write("a", end=None)
        assert await in_database(self.rows) == []

    async def test_text_is_stored_as_it_is_encoded_whatever_it_holds(self):
        await self.begin()
        texts = [
            '"quoted" \\ back',
            "null\u0000 \ufffd",
            "{}[],:'%s ?",
            "\U0001f44b ü\u2028",
            "x" * 70_000,
        ]
        events = [
            await self.log.append(self.generation_id, EventKind.DELTA, text=text) for text in texts
        ]
        assert [data for _, _, data in await in_database(self.rows)] == [e.json for e in events]

    async def test_events_of_many_generations_share_a_commit(self):
        await self.begin()
        others = [await running_generation() for _ in range(20)]
        for other in others:
            await self.log.open(other.pk)
        for _ in range(4):  # Past the first ones, which are committed at once.
            await asyncio.gather(
                *(self.log.append(other.pk, EventKind.DELTA, text="x") for other in others)
            )
        commits = []
        waiting = self.log._commits
        begin = waiting._begin
        waiting._begin = lambda: (commits.append(len(waiting._waiting)), begin())
        await asyncio.gather(
            *(self.log.append(other.pk, EventKind.DELTA, text="y") for other in others)
        )
        assert commits == [20]

    async def test_reader_in_another_process_follows_by_cursor(self):
        await self.begin()
        elsewhere = DatabaseEventLog()
        assert await elsewhere.last(self.generation_id) is None

        async def follow():
            return [batch async for batch in elsewhere.follow(self.generation_id)]

        readers = [asyncio.create_task(follow()) for _ in range(3)]
        for text in "abc":
            await self.write(text, end=None)
            await asyncio.sleep(0.3)
        await self.write()
        flat = [[event for batch in await reader for event in batch] for reader in readers]
        assert flat[0] == flat[1] == flat[2] == await self.log.settled(self.generation_id)
        assert [event.cursor for event in flat[0]] == [1, 2, 3, 4]

    async def test_reader_that_comes_from_another_process_has_not_seen_too_much(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = DatabaseEventLog()
        assert len(await elsewhere.read(self.generation_id, after=0, block=0)) == 1
        # Each time more than was last looked up there.
        await self.write("b", "c", end=None)
        assert await elsewhere.read(self.generation_id, after=3, block=0) == []
        await self.write("d", "e", end=None)
        assert (await elsewhere.last(self.generation_id, seen=5)).cursor == 5
        with self.assertRaises(InvalidCursor):
            await elsewhere.read(self.generation_id, after=6, block=0)

    async def test_writer_of_an_earlier_epoch_is_refused(self):
        await self.begin()
        await self.write("a", end=None)
        row = Generation.objects.filter(pk=self.generation_id)
        await in_transaction(row.update, epoch=1)
        later = DatabaseEventLog()
        assert len(await later.open(self.generation_id, epoch=1)) == 1
        with self.assertRaises(Fenced):
            await self.write("late", end=None)
        saved = []
        with self.assertRaises((Fenced, EventsExpired)):
            await self.end(save=lambda: saved.append(1) or True)
        assert saved == []
        await later.append(self.generation_id, EventKind.DELTA, text="b")
        assert [row[0] for row in await in_database(self.rows)] == [1, 2]
        # Who followed the earlier writer here goes on with the later one.
        (event,) = await self.log.read(self.generation_id, after=1, block=0)
        assert event.data == {"text": "b"}

    async def test_deleted_generation_ends_its_writer_and_its_readers(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = DatabaseEventLog()
        here = asyncio.create_task(self.follow(after=1))
        other = asyncio.create_task(elsewhere.read(self.generation_id, after=1, block=10))
        await asyncio.sleep(0.1)
        await in_transaction(Generation.objects.filter(pk=self.generation_id).delete)
        with self.assertRaises(EventsExpired):
            await self.write("b", end=None)
        for reader in (here, other):
            with self.assertRaises(EventsExpired):
                await asyncio.wait_for(reader, 5)
        assert await in_database(self.rows) == []

    async def test_rows_go_after_the_retention_time(self):
        with self.settings(CHAT={"RETENTION_SECONDS": 0.2}):
            await self.begin()
            await self.write("a", end=None)
            await self.end(save=lambda: True)
            await self.end_row()
            for _ in range(100):
                if not await in_database(self.rows):
                    return
                await asyncio.sleep(0.05)
        raise AssertionError("The rows are still there.")

"""The suite that every event log passes. A new backend gets a subclass, not new tests."""

import asyncio
import json
from contextlib import suppress
from uuid import uuid4

from chat.database import close_database_threads
from chat.errors import EventsExpired, Fenced, InvalidCursor, LogClosed
from chat.eventlog.image import MAX_BATCH_CHARS
from chat.events import EventKind


class EventLogContract:
    def make_log(self):
        raise NotImplementedError

    def tearDown(self):
        # Whatever a test has left under way, before its rows are deleted.
        close_database_threads()
        super().tearDown()

    async def make_generation(self):
        """Return the id of a generation that may be written."""
        return uuid4()

    async def begin(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        await self.log.open(self.generation_id)

    async def write(self, *texts, end=EventKind.DONE):
        for text in texts:
            await self.log.append(self.generation_id, EventKind.DELTA, text=text)
        if end:
            await self.log.append(self.generation_id, end)

    async def follow(self, **options):
        return [batch async for batch in self.log.follow(self.generation_id, **options)]

    async def test_cursors_count_from_one_without_gaps(self):
        await self.begin()
        await self.write("a", "b", "c")
        events = await self.log.read(self.generation_id, after=0, block=0)
        assert [event.cursor for event in events] == [1, 2, 3, 4]

    async def test_what_is_added_without_waiting_keeps_its_order_and_is_there_after_a_flush(self):
        await self.begin()
        for text in "abc":
            await self.log.add(self.generation_id, EventKind.DELTA, text=text)
        await self.log.flush(self.generation_id)
        events = await self.log.read(self.generation_id, after=0, block=0)
        assert [(event.cursor, event.data["text"]) for event in events] == [
            (1, "a"),
            (2, "b"),
            (3, "c"),
        ]
        await self.log.add(self.generation_id, EventKind.DELTA, text="d")
        assert len(await self.log.settled(self.generation_id)) == 4

    async def test_late_reader_gets_the_backlog_as_one_batch(self):
        await self.begin()
        await self.write("a", "b", "c")
        assert [len(batch) for batch in await self.follow()] == [4]

    async def test_a_large_backlog_comes_in_batches_of_a_bounded_size(self):
        await self.begin()
        await self.write(*["x" * 16_000] * 40)
        batches = await self.follow()
        sizes = [sum(len(event.json) for event in batch) for batch in batches]
        assert max(sizes) <= MAX_BATCH_CHARS < sum(sizes)
        assert [event.cursor for batch in batches for event in batch] == list(range(1, 42))

    async def test_reader_continues_from_any_cursor(self):
        await self.begin()
        await self.write("a", "b", "c")
        whole = [event for batch in await self.follow() for event in batch]
        for cursor in range(len(whole)):
            rest = [event for batch in await self.follow(after=cursor) for event in batch]
            assert rest == whole[cursor:]

    async def test_data_is_kept_with_one_encoding(self):
        await self.begin()
        text = "line\nline\r\u2028 ü 👋 \x85"
        event = await self.log.append(self.generation_id, EventKind.DELTA, text=text)
        (read,) = await self.log.read(self.generation_id, after=0, block=0)
        assert read.json == event.json
        assert read.json.isascii()
        assert "\n" not in read.json
        assert json.loads(read.json) == {"text": text} == dict(read.data)

    async def test_reader_waits_for_the_next_event(self):
        await self.begin()
        reader = asyncio.create_task(self.follow())
        await asyncio.sleep(0.01)
        await self.write("a")
        batches = await asyncio.wait_for(reader, 5)
        assert [event.kind for batch in batches for event in batch] == ["delta", "done"]

    async def test_many_readers_get_the_same_events(self):
        await self.begin()
        readers = [asyncio.create_task(self.follow()) for _ in range(50)]
        await asyncio.sleep(0.01)
        for text in "abcdef":
            await self.write(text, end=None)
            await asyncio.sleep(0)
        await self.write()
        flat = [
            [event for batch in await asyncio.wait_for(reader, 5) for event in batch]
            for reader in readers
        ]
        assert all(events == flat[0] for events in flat)
        assert "".join(event.data.get("text", "") for event in flat[0]) == "abcdef"

    async def test_reader_that_leaves_delays_nobody(self):
        await self.begin()
        leaver = asyncio.create_task(self.follow())
        stayer = asyncio.create_task(self.follow())
        await asyncio.sleep(0.01)
        leaver.cancel()
        await self.write("a")
        assert sum(map(len, await asyncio.wait_for(stayer, 5))) == 2

    async def test_quiet_time_is_an_empty_batch(self):
        await self.begin()
        batches = self.log.follow(self.generation_id, heartbeat=0.02)
        assert await anext(batches) == []
        await self.write("a")
        assert [event.kind for event in await anext(batches)] == ["delta", "done"]
        await batches.aclose()

    async def test_reader_at_the_terminal_cursor_gets_nothing(self):
        await self.begin()
        await self.write("a")
        assert await self.follow(after=2) == []

    async def test_reading_does_not_wait_past_the_end(self):
        await self.begin()
        await self.write("a")
        assert await asyncio.wait_for(self.log.read(self.generation_id, after=2, block=60), 5) == []

    async def test_cursor_past_the_end_is_invalid(self):
        await self.begin()
        await self.write("a", end=None)
        for after in (2, 10**9, -1):
            with self.assertRaises(InvalidCursor):
                await self.follow(after=after)
            with self.assertRaises(InvalidCursor):
                await self.log.read(self.generation_id, after=after, block=0)

    async def test_nothing_follows_a_terminal_event(self):
        for kind in (kind for kind in EventKind if kind.is_terminal):
            await self.begin()
            await self.write("a", end=kind)
            with self.assertRaises(LogClosed):
                await self.write("b")
            with self.assertRaises(LogClosed):
                await self.log.append(self.generation_id, EventKind.DONE)

    async def test_unknown_generation_has_expired(self):
        await self.begin()
        for call in (
            self.log.last(uuid4()),
            self.log.read(uuid4(), after=0, block=0),
            self.log.append(uuid4(), EventKind.DELTA, text="a"),
        ):
            with self.assertRaises(EventsExpired):
                await call

    async def test_opening_again_keeps_what_is_there(self):
        await self.begin()
        await self.write("a", end=None)
        await self.log.open(self.generation_id)
        last = await self.log.last(self.generation_id)
        assert last is not None
        assert last.cursor == 1

    async def test_new_log_is_begun_without_being_opened(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        await self.log.expect(self.generation_id)
        reader = asyncio.create_task(self.follow())
        await asyncio.sleep(0.01)
        await self.log.begin(self.generation_id, epoch=1)
        await self.write("a")
        assert sum(map(len, await asyncio.wait_for(reader, 5))) == 2

    async def test_log_of_a_later_epoch_is_not_begun(self):
        await self.begin()
        await self.log.open(self.generation_id, epoch=2)
        with self.assertRaises(Fenced):
            await self.log.begin(self.generation_id, epoch=1)

    async def test_log_that_is_yet_to_be_opened_can_be_waited_for(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        await self.log.expect(self.generation_id)
        reader = asyncio.create_task(self.follow())
        await asyncio.sleep(0.01)
        await self.log.open(self.generation_id, epoch=1)
        await self.write("a")
        assert sum(map(len, await asyncio.wait_for(reader, 5))) == 2

    async def test_opened_log_is_empty_and_can_be_waited_for(self):
        await self.begin()
        assert await self.log.last(self.generation_id) is None
        reader = asyncio.create_task(self.follow())
        await asyncio.sleep(0.01)
        assert not reader.done()
        await self.write()
        assert sum(map(len, await asyncio.wait_for(reader, 5))) == 1

    async def test_ended_log_expires_after_the_retention_time(self):
        with self.settings(CHAT={"RETENTION_SECONDS": 0.05}):
            await self.begin()
            await self.write("a")
            for _ in range(100):
                try:
                    await self.log.last(self.generation_id)
                except EventsExpired:
                    return
                await asyncio.sleep(0.05)
        raise AssertionError("The log is still kept.")

    async def test_running_log_does_not_expire(self):
        with self.settings(CHAT={"RETENTION_SECONDS": 0}):
            await self.begin()
            await self.write("a", end=None)
            await asyncio.sleep(0.05)
            assert await self.log.last(self.generation_id) is not None

    # The end, and writers that come and go ------------------------------------

    async def end(self, *, save=lambda: True, log=None):
        return await (log or self.log).append_end(
            self.generation_id, EventKind.DONE, save=save, length=1
        )

    async def test_work_is_saved_before_the_terminal_event_is_seen(self):
        await self.begin()
        await self.write("a", end=None)
        saved = []
        event = await self.end(save=lambda: saved.append(1) or True)
        assert saved == [1]
        assert (event.cursor, event.kind, event.data) == (2, "done", {"length": 1})
        assert [e.kind for e in await self.log.read(self.generation_id, after=1, block=0)] == [
            "done"
        ]
        with self.assertRaises(LogClosed):
            await self.end()

    async def test_generation_that_had_ended_before_gets_no_second_end(self):
        await self.begin()
        await self.write("a", end=None)
        assert await self.end(save=lambda: False) is None

    async def test_who_takes_it_from_the_queue_too_late_leaves_the_log_to_its_writer(self):
        await self.begin()
        too_late = asyncio.create_task(self.end(save=lambda: False))
        await asyncio.sleep(0)
        await self.log.begin(self.generation_id, epoch=1)
        with suppress(Fenced, EventsExpired):
            assert await too_late is None
        await self.write("a")
        kinds = [event.kind for batch in await self.follow() for event in batch]
        assert kinds == ["delta", "done"]

    async def test_end_that_cannot_be_saved_is_not_shown_and_can_be_tried_again(self):
        await self.begin()
        await self.write("a", end=None)

        def fail():
            raise ZeroDivisionError

        with self.assertRaises(ZeroDivisionError):
            await self.end(save=fail)
        assert (await self.log.last(self.generation_id)).cursor == 1
        assert (await self.end()).cursor == 2

    async def test_append_takes_place_although_its_caller_was_cancelled(self):
        await self.begin()
        appending = asyncio.create_task(self.write("a", end=None))
        await asyncio.sleep(0)
        appending.cancel()
        await asyncio.wait([appending])
        events = await self.log.settled(self.generation_id)
        assert [event.data["text"] for event in events] == ["a"]
        assert await self.log.read(self.generation_id, after=0, block=0) == events

    async def test_settled_events_are_what_readers_get(self):
        await self.begin()
        await self.write("a", "b", end=None)
        settled = await self.log.settled(self.generation_id)
        assert settled == await self.log.read(self.generation_id, after=0, block=0)
        with self.assertRaises(EventsExpired):
            await self.log.settled(uuid4())

    async def test_later_writer_goes_on_where_the_earlier_one_ended(self):
        await self.begin()
        await self.write("a", end=None)
        kept = await self.log.open(self.generation_id, epoch=1)
        assert [event.data["text"] for event in kept] == ["a"]
        await self.write("b", end=None)
        events = await self.log.read(self.generation_id, after=0, block=0)
        assert [event.cursor for event in events] == [1, 2]
        with self.assertRaises(Fenced):
            await self.log.open(self.generation_id, epoch=0)

"""The event log in Redis, against a real one: what holds while it works, and when it does not."""

import asyncio
import random
from contextlib import asynccontextmanager
from functools import cached_property
from uuid import uuid4

import pytest
import redis
from django.test import TransactionTestCase, override_settings

from chat.database import in_database, in_transaction
from chat.errors import EventsExpired, Fenced, InvalidCursor, Overloaded, StorageFailed
from chat.eventlog import ends
from chat.eventlog.followed import MISSING_SECONDS, UNSURE_SECONDS
from chat.eventlog.redis import RedisEventLog
from chat.events import EventKind
from chat.models import Generation, Message
from tests.eventlog.contract import EventLogContract
from tests.eventlog.rows import running_generation
from tests.servers import RedisServer


class RedisTestCase(TransactionTestCase):
    """Every log of a test is closed in the event loop that it was made in."""

    def __init__(self, name):
        super().__init__(name)
        method = getattr(self, name, None)

        async def run():
            self.logs = []
            try:
                await method()
            finally:
                for log in self.logs:
                    await log.close()

        setattr(self, name, run)

    @pytest.fixture(autouse=True)
    def _server(self, redis_server):
        self.server = redis_server
        with override_settings(REDIS_URL=redis_server.url):
            yield

    def make_log(self):
        self.logs.append(RedisEventLog())
        return self.logs[-1]

    async def make_generation(self):
        return (await running_generation()).pk

    async def change_row(self, **fields):
        await in_transaction(Generation.objects.filter(pk=self.generation_id).update, **fields)

    async def end_row(self):
        await self.change_row(status="done", ended_at="2020-01-01T00:00:00Z")

    @cached_property
    def redis(self):
        client = redis.Redis.from_url(self.server.url)
        self.addCleanup(client.close)
        return client

    def keys(self):
        return {
            f"chat:{{{self.generation_id}}}:events".encode(),
            f"chat:{{{self.generation_id}}}:writer".encode(),
        }

    async def until(self, condition, seconds=10):
        async with asyncio.timeout(seconds):
            while not await asyncio.to_thread(condition):
                await asyncio.sleep(0.02)


class RedisEventLogTests(RedisTestCase, EventLogContract):
    async def write(self, *texts, end=EventKind.DONE):
        await super().write(*texts, end=end)
        if end:
            await self.end_row()

    async def everything(self, log, **options):
        async with asyncio.timeout(20):
            batches = [batch async for batch in log.follow(self.generation_id, **options)]
        return [event for batch in batches for event in batch]

    # What Redis has ------------------------------------------------------------

    async def test_an_event_is_an_entry_under_its_cursor(self):
        await self.begin()
        await self.write("a", "b", end=None)
        entries = self.redis.xrange(f"chat:{{{self.generation_id}}}:events")
        assert [(name, list(fields)) for name, fields in entries] == [
            (b"1-0", [b"delta"]),
            (b"2-0", [b"delta"]),
        ]
        assert entries[0][1][b"delta"] == b'{"text":"a"}'

    async def test_nothing_is_kept_in_redis_after_the_retention_time(self):
        with self.settings(CHAT={"RETENTION_SECONDS": 0.2}):
            await self.begin()
            await self.write("a", end=None)
            assert set(self.redis.scan_iter(f"*{self.generation_id}*")) == self.keys()
            await self.end()
            await self.end_row()
            await self.until(lambda: not set(self.redis.scan_iter(f"*{self.generation_id}*")))

    async def test_a_log_that_nobody_ends_goes_some_time(self):
        await self.begin()
        await self.write("a", end=None)
        assert all(0 < self.redis.ttl(key) < 3600 for key in self.keys())

    async def test_events_of_many_generations_share_a_push(self):
        await self.begin()
        others = [await running_generation() for _ in range(20)]
        for other in others:
            await self.log.open(other.pk)
        for _ in range(4):  # Past the first ones, which are pushed at once.
            await asyncio.gather(
                *(self.log.append(other.pk, EventKind.DELTA, text="x") for other in others)
            )
        pushed = []
        push = self.log._streams.push

        def counting(pushes):
            pushed.append(sum(bool(each.events) for each in pushes))
            return push(pushes)

        self.log._streams.push = counting
        await asyncio.gather(
            *(self.log.append(other.pk, EventKind.DELTA, text="y") for other in others)
        )
        assert [number for number in pushed if number] == [20]

    # Readers and writers elsewhere ------------------------------------------------

    async def test_reader_in_another_process_follows_by_cursor(self):
        await self.begin()
        elsewhere = self.make_log()
        assert await elsewhere.last(self.generation_id) is None
        readers = [asyncio.create_task(self.everything(elsewhere)) for _ in range(3)]
        for text in "abc":
            await self.write(text, end=None)
            await asyncio.sleep(0.2)
        await self.write()
        flat = [await reader for reader in readers]
        assert flat[0] == flat[1] == flat[2] == await self.log.settled(self.generation_id)
        assert [event.cursor for event in flat[0]] == [1, 2, 3, 4]

    async def test_reader_that_comes_from_another_process_has_not_seen_too_much(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = self.make_log()
        assert len(await elsewhere.read(self.generation_id, after=0, block=0)) == 1
        news = asyncio.Event()

        async def nothing_yet(*args):
            await news.wait()
            return {}

        elsewhere._streams.wait = nothing_yet
        await asyncio.sleep(0.3)
        await self.write("b", "c", end=None)
        assert await elsewhere.read(self.generation_id, after=3, block=0) == []
        await self.write("d", "e", end=None)
        assert (await elsewhere.last(self.generation_id, seen=5)).cursor == 5
        with self.assertRaises(InvalidCursor):
            await elsewhere.read(self.generation_id, after=6, block=0)
        news.set()

    async def test_many_readers_elsewhere_share_two_connections(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = self.make_log()
        before = self.redis.info("clients")["connected_clients"]
        readers = [asyncio.create_task(self.everything(elsewhere)) for _ in range(100)]
        await asyncio.sleep(0.3)
        assert self.redis.info("clients")["connected_clients"] <= before + 2
        await self.write()
        assert {len(await reader) for reader in readers} == {2}

    async def test_reader_that_comes_before_the_writer_waits_for_it(self):
        self.log, elsewhere = self.make_log(), self.make_log()
        self.generation_id = await self.make_generation()
        reader = asyncio.create_task(self.everything(elsewhere))
        await asyncio.sleep(0.2)
        await self.log.begin(self.generation_id, epoch=0)
        await self.write("a")
        assert len(await reader) == 2

    async def test_reader_waits_for_a_worker_as_long_as_nobody_has_claimed_the_prompt(self):
        self.log, elsewhere = self.make_log(), self.make_log()
        self.generation_id = await self.make_generation()
        await self.change_row(worker=None)
        reader = asyncio.create_task(self.everything(elsewhere))
        await asyncio.sleep(UNSURE_SECONDS + 0.5)
        await self.log.begin(self.generation_id, epoch=0)
        await self.write("a")
        assert len(await reader) == 2

    async def test_writer_of_an_earlier_epoch_is_refused(self):
        await self.begin()
        await self.write("a", end=None)
        await self.change_row(epoch=1)
        later = self.make_log()
        assert len(await later.open(self.generation_id, epoch=1)) == 1
        with self.assertRaises(Fenced):
            await self.write("late", end=None)
        saved = []
        with self.assertRaises((Fenced, EventsExpired)):
            await self.end(save=lambda: saved.append(1) or True)
        assert saved == []
        await later.append(self.generation_id, EventKind.DELTA, text="b")
        # Who followed the earlier writer here goes on with the later one.
        (event,) = await self.log.read(self.generation_id, after=1, block=2)
        assert event.data == {"text": "b"}
        assert self.redis.xlen(f"chat:{{{self.generation_id}}}:events") == 2

    async def test_writer_that_overslept_is_refused_by_an_empty_redis_too(self):
        await self.begin()
        await self.write("a", end=None)
        await self.change_row(epoch=1)
        self.redis.flushall()
        with self.assertRaises(Fenced):
            await self.write("late", end=None)
        assert not set(self.redis.scan_iter(f"*{self.generation_id}*"))

    async def test_end_of_an_earlier_writer_is_not_saved(self):
        await self.begin()
        await self.write("a", end=None)
        await self.change_row(epoch=1)
        saved = []
        with self.assertRaises((Fenced, EventsExpired)):
            await self.end(save=lambda: saved.append(1) or True)
        assert saved == []

    async def test_deleted_generation_ends_its_writer_and_its_readers(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = self.make_log()
        here = asyncio.create_task(self.follow(after=1))
        other = asyncio.create_task(elsewhere.read(self.generation_id, after=1, block=10))
        await asyncio.sleep(0.1)
        await in_transaction(Generation.objects.filter(pk=self.generation_id).delete)
        for reader in (here, other):
            with self.assertRaises(EventsExpired):
                await asyncio.wait_for(reader, 5)
        with self.assertRaises(EventsExpired):
            await self.write("b", end=None)
        await self.until(lambda: not set(self.redis.scan_iter(f"*{self.generation_id}*")))

    # Ends without Redis -----------------------------------------------------------

    def save(self, **fields):
        """Save an end as `chat.generations` does, and return the terminal event's data."""
        fields = {"finish_reason": "", "usage": None, "error": None} | fields
        text = fields.pop("text")
        rows = Generation.objects.filter(pk=self.generation_id)

        def save():
            rows.update(ended_at="2020-01-01T00:00:00Z", **fields)
            Message.objects.filter(generation=self.generation_id).update(text=text)
            return True

        data = {key: fields[key] for key in ("finish_reason", "usage", "error")}
        return save, ends.end_data(fields["status"], text=text, **data)

    ENDS = (
        {
            "status": "done",
            "finish_reason": "stop",
            "usage": {"total_tokens": 3, "output_tokens": 2, "input_tokens": 1},
        },
        {
            "status": "failed",
            "error": {"retryable": True, "message": "Größe <\u2028>", "code": "storage"},
        },
        {"status": "interrupted"},
        {"status": "stopped"},
    )

    async def test_an_end_that_redis_does_not_know_is_told_by_the_row_byte_for_byte(self):
        for end in self.ENDS:
            await self.begin()
            await self.write("ä", "\u2028b", end=None)
            elsewhere, late = self.make_log(), self.make_log()
            reader = asyncio.create_task(self.everything(elsewhere))
            await asyncio.sleep(0.1)
            save, data = self.save(text="ä\u2028b", cursor=3, **end)
            self.log._pushes.add = lambda *args, **options: None  # It dies before it tells Redis.
            event = await self.log.append_end(
                self.generation_id, EventKind(end["status"]), save=save, **data
            )
            told = (await reader)[-1]
            assert (told.cursor, told.kind, told.json) == (3, event.kind, event.json)
            assert (await self.everything(late))[-1].json == event.json

    async def test_a_log_whose_end_is_not_known_whole_has_expired(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = self.make_log()
        reader = asyncio.create_task(self.everything(elsewhere))
        await asyncio.sleep(0.1)
        await self.change_row(status="interrupted", cursor=0)
        with self.assertRaises(EventsExpired):
            await asyncio.wait_for(reader, 5)
        with self.assertRaises(EventsExpired):
            await self.make_log().last(self.generation_id)

    async def test_an_answer_that_could_not_be_stored_is_not_waited_for(self):
        await self.begin()
        await self.write("a", end=None)
        elsewhere = self.make_log()
        reader = asyncio.create_task(self.everything(elsewhere))
        await asyncio.sleep(0.1)
        await self.change_row(status="failed", cursor=3, error={"code": "storage"})
        with self.assertRaises(EventsExpired):
            await asyncio.wait_for(reader, MISSING_SECONDS)
        with self.assertRaises(EventsExpired):
            await self.make_log().last(self.generation_id)

    async def test_a_queued_prompt_that_was_stopped_ends_by_its_row(self):
        self.generation_id = await self.make_generation()
        await self.change_row(status="queued")
        elsewhere = self.make_log()
        reader = asyncio.create_task(self.everything(elsewhere))
        await asyncio.sleep(0.1)
        await self.change_row(status="stopped", cursor=1)
        (event,) = await reader
        assert (event.cursor, event.kind, event.data["length"]) == (1, "stopped", 0)

    # Taking over --------------------------------------------------------------------

    async def test_a_log_that_redis_has_lost_is_not_known_whole(self):
        await self.begin()
        await self.write("a", end=None)
        self.logs.pop()
        await self.log.close()  # The writer is gone before it can mend it.
        self.redis.flushall()
        assert await self.make_log().open(self.generation_id, epoch=1) == []

    async def test_a_log_of_before_a_restart_of_redis_is_not_known_whole(self):
        await self.begin()
        await self.write("a", end=None)
        self.logs.pop()
        await self.log.close()
        self.redis.hset(f"chat:{{{self.generation_id}}}:writer", "run", "another")
        assert await self.make_log().open(self.generation_id, epoch=1) == []


class RedisFaultTests(RedisTestCase):
    """A Redis that is away, empty, full, stalled; one of its own for each test."""

    @pytest.fixture(autouse=True)
    def _own(self, _server):
        with RedisServer() as server, override_settings(REDIS_URL=server.url):
            self.server = server
            yield

    async def begin(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        await self.log.begin(self.generation_id)

    async def append(self, text):
        return await self.log.append(self.generation_id, EventKind.DELTA, text=text)

    async def end(self):
        return await self.log.append_end(
            self.generation_id, EventKind.DONE, save=lambda: True, length=1
        )

    def follow(self, log, after=0):
        async def everything():
            batches = [batch async for batch in log.follow(self.generation_id, after=after)]
            return [event for batch in batches for event in batch]

        return asyncio.create_task(everything())

    @asynccontextmanager
    async def followed(self):
        """Two readers, one here and one elsewhere, that must see the same in the end."""
        elsewhere = self.make_log()
        readers = self.follow(self.log), self.follow(elsewhere)
        await asyncio.sleep(0.2)
        yield elsewhere
        async with asyncio.timeout(15):
            here, there = await readers[0], await readers[1]
        assert here == there
        assert [event.cursor for event in here] == list(range(1, len(here) + 1))
        assert here[-1].kind == EventKind.DONE

    async def test_a_redis_that_comes_back_empty_gets_the_log_again(self):
        await self.begin()
        await self.append("a")
        async with self.followed():
            await self.append("b")
            await asyncio.to_thread(self.server.kill)
            appending = asyncio.create_task(self.append("c"))
            await asyncio.sleep(1)
            assert not appending.done()
            await asyncio.to_thread(self.server.start)
            assert (await appending).cursor == 3
            await self.end()
        assert len(await self.follow(self.make_log(), after=1)) == 3

    async def test_a_log_that_redis_loses_is_back_although_nothing_is_appended(self):
        await self.begin()
        await self.append("a")
        await self.append("b")
        self.redis.flushall()
        late = self.make_log()
        reader = self.follow(late, after=1)
        await asyncio.sleep(0.1)
        await self.end()
        assert [event.cursor for event in await asyncio.wait_for(reader, 10)] == [2, 3]

    async def test_a_redis_that_lost_the_newest_events_gets_them_again(self):
        await self.begin()
        for text in "abc":
            await self.append(text)
        self.redis.xdel(f"chat:{{{self.generation_id}}}:events", "3-0")
        self.redis.delete(f"chat:{{{self.generation_id}}}:writer")
        await self.append("d")
        events = await self.make_log().read(self.generation_id, after=0, block=0)
        assert "".join(event.data["text"] for event in events) == "abcd"

    async def test_a_redis_that_stays_away_ends_the_writing_and_the_waiting(self):
        await self.begin()
        await self.append("a")
        elsewhere = self.make_log()
        here, there = self.follow(self.log), self.follow(elsewhere, after=1)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(self.server.kill)
        began = asyncio.get_running_loop().time()
        with self.assertRaises(StorageFailed):
            await self.append("b")
        with self.assertRaises(Overloaded):
            await there
        assert asyncio.get_running_loop().time() - began < 13
        settled = await self.log.settled(self.generation_id)
        assert [event.cursor for event in settled] == [1, 2]
        assert (await self.end()).cursor == 3
        assert await here == await self.log.settled(self.generation_id)

    async def test_a_full_redis_is_waited_for_until_there_is_room(self):
        await self.begin()
        await self.append("a")
        async with self.followed():
            self.redis.config_set("maxmemory", "1")
            appending = asyncio.create_task(self.append("b"))
            await asyncio.sleep(1)
            assert not appending.done()
            self.redis.config_set("maxmemory", "0")
            assert (await appending).cursor == 2
            await self.end()

    async def test_a_redis_that_pauses_is_waited_for(self):
        await self.begin()
        await self.append("a")
        async with self.followed() as elsewhere:
            await elsewhere.last(self.generation_id)  # Its reader has begun before the pause.
            self.redis.client_pause(5000)
            assert (await self.append("b")).cursor == 2
            await self.end()

    async def test_killed_connections_are_made_again(self):
        await self.begin()
        async with self.followed():
            for text in "abcdef":
                await self.append(text)
                self.redis.client_kill_filter(_type="normal", skipme=True)
            await self.end()

    async def test_a_stale_connection_is_no_error_for_a_reader(self):
        await self.begin()
        await self.append("a")
        elsewhere = self.make_log()
        assert (await elsewhere.last(self.generation_id)).cursor == 1
        elsewhere._followed.drop(self.generation_id)
        self.redis.client_kill_filter(_type="normal", skipme=True)
        assert (await elsewhere.last(self.generation_id)).cursor == 1

    async def test_a_writer_waits_without_hurrying_redis(self):
        await self.begin()
        await self.append("a")
        attempts = []
        push = self.log._streams.push

        def counting(pushes):
            attempts.append(1)
            return push(pushes)

        self.log._streams.push = counting
        await asyncio.to_thread(self.server.kill)
        appending = asyncio.create_task(self.append("b"))
        await asyncio.sleep(4)
        assert len(attempts) <= 7
        await asyncio.to_thread(self.server.start)
        await appending

    async def test_taking_over_and_beginning_do_not_wait_long_for_redis(self):
        self.log = self.make_log()
        self.generation_id = await self.make_generation()
        self.server.signal(19)  # SIGSTOP: connections are taken, and nothing is answered.
        self.addCleanup(self.server.signal, 18)
        async with asyncio.timeout(1):
            await self.log.begin(self.generation_id)
        async with asyncio.timeout(4):
            with self.assertRaises(StorageFailed):
                await self.make_log().open(self.generation_id, epoch=1)
        self.server.signal(18)

    async def test_d09_cancelled_callers_leave_no_reply_to_others(self):
        rows = [(await running_generation()).pk for _ in range(20)]
        log, elsewhere = self.make_log(), self.make_log()
        for pk in rows:
            await log.open(pk)
            await log.append(pk, EventKind.DELTA, text=str(pk))
        dice = random.Random(0)

        async def read(pk):
            (event,) = await elsewhere.read(pk, after=0, block=0)
            assert event.data["text"] == str(pk)

        async def cancelled(work):
            task = asyncio.create_task(work)
            await asyncio.sleep(dice.random() * 0.004)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None

        for _ in range(20):
            elsewhere._followed._tails.clear()
            await asyncio.gather(*(cancelled(read(dice.choice(rows))) for _ in range(50)))
        elsewhere._followed._tails.clear()
        await asyncio.gather(*(read(pk) for pk in rows))

    async def test_a_generation_that_is_not_there_needs_no_redis(self):
        log = self.make_log()
        await asyncio.to_thread(self.server.kill)
        with self.assertRaises(EventsExpired):
            await log.last(uuid4())
        self.generation_id = await self.make_generation()
        with self.assertRaises(Overloaded):
            await asyncio.wait_for(log.last(self.generation_id), 5)
        await self.change_row(status="done", cursor=9)
        with self.assertRaises(EventsExpired):
            await asyncio.wait_for(log.last(self.generation_id), 5)
        assert await in_database(Generation.objects.filter(pk=self.generation_id).exists)

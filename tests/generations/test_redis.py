"""Generations with their events in Redis: what holds with every log, and what Redis may lose."""

import asyncio
from uuid import uuid4

import pytest
import redis
from django.test import TransactionTestCase, override_settings

from chat.database import in_transaction
from chat.errors import EventsExpired
from chat.eventlog import event_log
from chat.eventlog.redis import RedisEventLog
from chat.events import EventKind
from chat.generations import engine, recover, shutdown, stop_generation
from chat.models import Generation
from tests.generations.races import Races
from tests.generations.test_generations import GenerationCase, GenerationContract
from tests.servers import RedisServer
from tests.upstream import words_text

Status = Generation.Status


class Log(RedisEventLog):
    """One that is closed with its test, although the settings have changed meanwhile."""

    made = []

    def __init__(self):
        super().__init__()
        self.made.append(self)


class RedisGenerationMixin:
    event_log = "tests.generations.test_redis.Log"

    def __init__(self, name):
        super().__init__(name)
        method = getattr(self, name, None)

        async def run():
            try:
                await method()
            finally:
                await shutdown()
                while Log.made:
                    await Log.made.pop().close()

        setattr(self, name, run)

    @pytest.fixture(autouse=True)
    def _server(self, redis_server):
        self.server = redis_server
        with override_settings(REDIS_URL=redis_server.url):
            yield

    async def seen(self, generation, *, cursor):
        """Follow until a cursor, and return the text."""
        text = ""
        async with asyncio.timeout(10):
            async for batch in event_log().follow(generation.pk):
                text += "".join(e.data["text"] for e in batch if e.kind == EventKind.DELTA)
                if batch and batch[-1].cursor >= cursor:
                    break
        return text

    async def change_row(self, generation, **fields):
        await in_transaction(Generation.objects.filter(pk=generation.pk).update, **fields)

    async def text_saved(self, generation, length=1):
        async with asyncio.timeout(10):
            while len((await self.reload(generation)).message.text) < length:
                await asyncio.sleep(0.05)

    async def ended(self, generation):
        async with asyncio.timeout(25):
            while not (saved := await self.reload(generation)).is_terminal:
                await asyncio.sleep(0.05)
        return saved

    async def recovered(self, generation):
        # At once on SQLite; elsewhere other processes might live, and are waited for.
        await recover()
        await self.ended(generation)

    async def die(self, generation):
        """Leave everything as a process does that dies: nothing more is written by it."""
        await event_log().close()
        await self.change_row(generation, worker=uuid4())
        engine.cache_clear()
        event_log.cache_clear()


class RedisGenerationTests(RedisGenerationMixin, GenerationContract, TransactionTestCase):
    async def test_progress_is_saved_while_it_is_written(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.text_saved(generation)
        assert (await self.reload(generation)).status == Status.RUNNING
        await stop_generation(generation)

    async def test_a_writer_that_was_taken_over_saves_no_progress(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.text_saved(generation)
        await self.change_row(generation, epoch=7)
        before = (await self.reload(generation)).message.text
        await asyncio.sleep(1.5)
        assert (await self.reload(generation)).message.text == before

    async def test_answer_left_by_a_dead_process_keeps_exactly_what_was_seen(self):
        generation = (await self.start(model="openai:words:500@100")).generation
        await self.seen(generation, cursor=4)
        await self.die(generation)
        before = await event_log().read(generation.pk, after=0, block=0)
        await self.recovered(generation)
        events = await self.events(generation)
        assert events[:-1] == before
        assert events[-1].kind == EventKind.INTERRUPTED
        text = "".join(e.data["text"] for e in before if e.kind == EventKind.DELTA)
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, text)
        assert saved.cursor == events[-1].cursor

    async def test_answer_of_which_nothing_was_shown_is_begun_again(self):
        generation = (await self.start(model="openai:hang-before-headers")).generation
        await self.seen(generation, cursor=1)
        await self.die(generation)
        await self.change_row(generation, model="openai:words:3")
        assert await recover() == 0
        events = await self.events(generation)
        assert [e.kind for e in events if e.kind != EventKind.DELTA] == ["started", "done"]

    async def test_answer_that_redis_has_lost_with_its_writer_keeps_its_saved_text(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.text_saved(generation, length=50)
        await self.die(generation)
        client = redis.Redis.from_url(self.server.url)
        client.flushall()
        client.close()
        kept = (await self.reload(generation)).message.text
        await self.recovered(generation)
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, kept)
        assert words_text(900).startswith(kept)
        with pytest.raises(EventsExpired):
            await event_log().last(generation.pk)

    async def test_a_log_that_is_shorter_than_the_saved_text_is_not_called_whole(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.text_saved(generation)
        await self.die(generation)
        longer = words_text(900)
        row = await self.reload(generation)
        row.message.text = longer
        await in_transaction(row.message.save)
        await self.recovered(generation)
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, longer)
        with pytest.raises(EventsExpired):
            await event_log().last(generation.pk)

    async def test_stop_asked_for_elsewhere_ends_a_run(self):
        await recover()
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.change_row(generation, stop_requested_at="2020-01-01T00:00:00Z")
        assert (await self.events(generation))[-1].kind == EventKind.STOPPED

    async def test_e13_deleting_the_conversation_ends_its_run(self):
        accepted = await self.start(model="openai:words:900@100")
        generation = accepted.generation
        reader = asyncio.create_task(self.events(generation))
        await self.seen(generation, cursor=2)
        async with asyncio.timeout(10):
            await in_transaction(accepted.prompt.conversation.delete)
            while engine().runs(generation.pk):
                await asyncio.sleep(0.02)
        with pytest.raises(EventsExpired):
            await reader


class RedisRaceTests(RedisGenerationMixin, Races, TransactionTestCase):
    pass


class GenerationWithoutRedisTests(RedisGenerationMixin, GenerationCase, TransactionTestCase):
    """A Redis of its own for each test, which ends it."""

    @pytest.fixture(autouse=True)
    def _own(self, _server):
        with RedisServer() as server, override_settings(REDIS_URL=server.url):
            self.server = server
            yield

    async def test_a_prompt_is_accepted_and_ends_although_redis_is_away(self):
        await asyncio.to_thread(self.server.kill)
        async with asyncio.timeout(5):
            generation = (await self.start(model="openai:words:3")).generation
        reader = asyncio.create_task(self.events(generation))
        saved = await self.ended(generation)
        assert (saved.status, saved.error["code"]) == (Status.FAILED, "storage")
        assert (await reader)[-1].kind == EventKind.FAILED

    async def test_a_prompt_that_was_accepted_while_redis_was_away_is_answered(self):
        await asyncio.to_thread(self.server.kill)
        generation = (await self.start(model="openai:words:3")).generation
        await asyncio.sleep(1)
        await asyncio.to_thread(self.server.start)
        assert (await self.events(generation))[-1].kind == EventKind.DONE
        assert (await self.reload(generation)).message.text == words_text(3)

    async def test_stop_does_not_wait_for_redis(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        text = await self.seen(generation, cursor=4)
        await asyncio.to_thread(self.server.kill)
        await asyncio.sleep(0.5)
        async with asyncio.timeout(3):
            stopped = await stop_generation(generation)
        saved = await self.reload(generation)
        assert stopped.status == Status.STOPPED
        assert saved.message.text.startswith(text)
        events = await self.events(generation)
        assert "".join(e.data.get("text", "") for e in events) == saved.message.text

    async def test_an_orphan_is_ended_although_redis_stays_away(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        await self.text_saved(generation)
        await self.die(generation)
        await asyncio.to_thread(self.server.kill)
        kept = (await self.reload(generation)).message.text
        await self.recovered(generation)
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, kept)

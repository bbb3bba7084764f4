"""Generations against a real model server, in one process."""

import asyncio
import hashlib
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import TransactionTestCase, override_settings

from chat.database import close_database_threads, in_database, in_transaction
from chat.errors import EventsExpired, UnknownModel
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations import (
    engine,
    recover,
    regenerate,
    shutdown,
    start_generation,
    stop_generation,
)
from chat.generations.engine import InlineEngine
from chat.generations.watch import is_alone
from chat.models import Generation, Message
from tests.upstream import FakeUpstream, words_text

Status = Generation.Status


class GenerationCase:
    """A model server, a user, and ways to ask and to look."""

    event_log = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.upstream = cls.enterClassContext(FakeUpstream())
        cls.enterClassContext(
            override_settings(
                OPENAI_BASE_URL=cls.upstream.base_url,
                OPENAI_API_KEY="k",
                CHAT={"MAX_RUNNING_PER_USER": 99, "EVENT_LOG": cls.event_log, "TITLES": False},
            )
        )

    def chat(self, **keys):
        return override_settings(CHAT={"EVENT_LOG": self.event_log, "TITLES": False} | keys)

    def setUp(self):
        self.user = get_user_model().objects.create_user("ann")
        engine.cache_clear()

    def tearDown(self):
        # Whatever a test has left under way, before its rows are deleted.
        close_database_threads()
        super().tearDown()

    async def start(self, text="hi", *, model="openai:words:5@100", **fields):
        fields.setdefault("key", str(uuid4()))
        return await start_generation(self.user, text=text, model=model, **fields)

    async def events(self, generation, after=0):
        async with asyncio.timeout(20):
            batches = [batch async for batch in event_log().follow(generation.pk, after=after)]
        return [event for batch in batches for event in batch]

    async def reload(self, generation):
        rows = Generation.objects.select_related("message")
        return await in_database(rows.get, pk=generation.pk)


class GenerationContract(GenerationCase):
    """What holds with every event log."""

    async def test_an_answer_is_logged_saved_and_ended_once(self):
        generation = (await self.start()).generation
        events = await self.events(generation)
        assert [event.cursor for event in events] == list(range(1, len(events) + 1))
        assert events[0].data == {
            "model": "openai:words:5@100",
            "message": str(generation.message_id),
        }
        text = "".join(e.data["text"] for e in events if e.kind == EventKind.DELTA)
        assert text == words_text(5)
        saved = await self.reload(generation)
        end = events[-1]
        assert end.kind == EventKind.DONE
        assert end.data["length"] == len(text)
        assert end.data["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert (saved.status, saved.message.text) == (Status.DONE, text)
        assert (saved.cursor, saved.finish_reason) == (end.cursor, "stop")
        assert saved.first_delta_at
        assert saved.usage == end.data["usage"]

    async def test_whoever_sees_the_end_finds_the_message_saved(self):
        generation = (await self.start(model="openai:words:3")).generation
        await self.events(generation)
        assert (await self.reload(generation)).is_terminal

    async def test_stop_keeps_exactly_what_was_seen(self):
        generation = (await self.start(model="openai:words:500@100")).generation
        async for batch in event_log().follow(generation.pk):
            if batch[-1].cursor > 3:
                break
        stopped = await stop_generation(generation)
        assert stopped.status == Status.STOPPED
        events = await self.events(generation)
        seen = "".join(e.data["text"] for e in events if e.kind == EventKind.DELTA)
        saved = await self.reload(generation)
        assert events[-1].kind == EventKind.STOPPED
        assert saved.message.text == seen != ""
        assert words_text(500).startswith(seen)
        assert events[-1].data["sha256"] == hashlib.sha256(seen.encode()).hexdigest()
        again = await stop_generation(saved)
        assert again.cursor == saved.cursor

    async def test_e12_twenty_stops_at_once_make_one_end(self):
        generation = (await self.start(model="openai:words:500@100")).generation
        ended = await asyncio.gather(*(stop_generation(generation) for _ in range(20)))
        assert {each.status for each in ended} == {Status.STOPPED}
        events = await self.events(generation)
        assert [e.kind for e in events if e.kind.is_terminal] == [EventKind.STOPPED]

    async def test_stop_before_the_writers_first_step_ends_it(self):
        accepted = await self.start(model="openai:hang-before-headers")
        stopped = await stop_generation(accepted.generation)
        assert stopped.status == Status.STOPPED

    async def test_a_failure_keeps_the_text_and_says_why(self):
        generation = (await self.start(model="openai:eof-after:3")).generation
        events = await self.events(generation)
        saved = await self.reload(generation)
        assert events[-1].kind == EventKind.FAILED
        assert events[-1].data["code"] == "upstream_truncated"
        assert saved.status == Status.FAILED
        assert saved.error["code"] == "upstream_truncated"
        assert saved.message.text == words_text(3)

    async def test_prompts_sent_meanwhile_are_answered_in_order(self):
        first = await self.start("one")
        conversation_id = first.prompt.conversation_id
        rest = [
            await self.start(text, conversation_id=conversation_id) for text in ("two", "three")
        ]
        assert [accepted.position for accepted in rest] == [1, 2]
        last = await self.events(rest[-1].generation)
        assert last[-1].kind == EventKind.DONE
        sent = [request["body"]["messages"] for request in self.upstream.journal[-3:]]
        assert [[m["content"] for m in messages if m["role"] == "user"] for messages in sent] == [
            ["one"],
            ["one", "two"],
            ["one", "two", "three"],
        ]

    async def test_a_failed_answer_does_not_stop_the_queue(self):
        first = await self.start(model="openai:reset-after:2")
        second = await self.start(conversation_id=first.prompt.conversation_id)
        assert (await self.events(second.generation))[-1].kind == EventKind.DONE

    async def test_stopping_a_queued_prompt_ends_its_log(self):
        first = await self.start(model="openai:words:500@100")
        second = await self.start(conversation_id=first.prompt.conversation_id)
        reader = asyncio.create_task(self.events(second.generation))
        stopped = await stop_generation(second.generation)
        assert stopped.status == Status.STOPPED
        (event,) = await reader
        assert event.kind == EventKind.STOPPED
        await stop_generation(first.generation)

    async def test_a_prompt_that_is_handed_out_meanwhile_is_stopped_all_the_same(self):
        for wait in range(24):
            first = await self.start(model="openai:infinite@50")
            conversation = first.prompt.conversation_id
            second = await self.start(conversation_id=conversation, model="openai:infinite@50")
            stopping = asyncio.create_task(stop_generation(first.generation))
            await asyncio.sleep(wait / 2000)
            stopped = await stop_generation(second.generation)
            assert (wait, stopped.status) == (wait, Status.STOPPED)
            assert (await stopping).status == Status.STOPPED

    async def test_a_stop_between_the_claim_and_its_writer_leaves_a_whole_log(self):
        endless = "openai:infinite@50"
        first = await self.start(model=endless)
        conversation = first.prompt.conversation_id
        second = await self.start(model=endless, conversation_id=conversation)
        reader = asyncio.create_task(self.events(second.generation))
        claimed, go_on = asyncio.Event(), asyncio.Event()
        begin = InlineEngine.start

        async def start(engine, run):
            claimed.set()
            await go_on.wait()
            await begin(engine, run)

        with patch.object(InlineEngine, "start", start):
            stopping = asyncio.create_task(stop_generation(first.generation))
            await claimed.wait()
            stopping_too = asyncio.create_task(stop_generation(second.generation))
            await asyncio.wait([stopping_too], timeout=0.5)
            go_on.set()
            await asyncio.gather(stopping, stopping_too)
        events = await reader
        assert [event.kind.is_terminal for event in events].count(True) == 1
        assert events[-1].kind == EventKind.STOPPED
        assert await self.events(second.generation) == events

    async def test_the_run_goes_on_when_its_caller_is_cancelled(self):
        caller = asyncio.create_task(self.start(key="k"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        again = await self.start(key="k")
        assert (await self.events(again.generation))[-1].kind == EventKind.DONE

    async def test_the_same_key_starts_one_run(self):
        before = len(self.upstream.journal)
        accepted = await asyncio.gather(*(self.start(key="same") for _ in range(5)))
        assert len({each.generation.pk for each in accepted}) == 1
        await self.events(accepted[0].generation)
        assert len(self.upstream.journal) == before + 1

    async def test_an_answer_given_again_is_a_sibling(self):
        first = await self.start()
        await self.events(first.generation)
        again = await regenerate(self.user, message_id=first.generation.message_id, key="r")
        await self.events(again.generation)
        answers = Message.objects.filter(parent=first.prompt)
        assert await in_database(answers.count) == 2

    async def test_shutdown_interrupts_and_keeps_the_text(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        async for batch in event_log().follow(generation.pk):
            if batch[-1].kind == EventKind.DELTA:
                break
        await shutdown()
        saved = await self.reload(generation)
        assert saved.status == Status.INTERRUPTED
        assert saved.message.text

    async def restart(self):
        """Forget everything that a new process would not know."""
        await shutdown()
        engine.cache_clear()
        event_log.cache_clear()

    async def test_recovery_runs_what_waited(self):
        first = await self.start(model="openai:hang-before-headers")
        second = await self.start("two", conversation_id=first.prompt.conversation_id)
        await self.restart()
        assert await recover() == 0
        assert (await self.events(second.generation))[-1].kind == EventKind.DONE

    async def test_an_unknown_model_is_refused_and_nothing_is_saved(self):
        with pytest.raises(UnknownModel):
            await self.start(model="nonsense")
        assert await in_database(Message.objects.count) == 0

    async def test_c13_an_endless_answer_ends_at_the_limit(self):
        with self.chat(MAX_ANSWER_BYTES=100):
            generation = (await self.start(model="openai:infinite@1000")).generation
            events = await self.events(generation)
            assert events[-1].data["code"] == "too_long"
            assert 0 < events[-1].data["length"] <= 100

    async def test_c04_an_answer_that_takes_too_long_ends(self):
        with self.chat(MAX_GENERATION_SECONDS=0.3):
            generation = (await self.start(model="openai:infinite@20")).generation
            events = await self.events(generation)
            assert events[-1].data["code"] == "generation_timeout"

    async def test_b19_a_huge_delta_is_split(self):
        generation = (await self.start(model="openai:big:100000")).generation
        events = await self.events(generation)
        deltas = [e.data["text"] for e in events if e.kind == EventKind.DELTA]
        assert max(map(len, deltas)) <= 16_384
        assert sum(map(len, deltas)) == 100_000


class MemoryGenerationTests(GenerationContract, TransactionTestCase):
    event_log = "memory"

    async def test_progress_is_saved_while_it_is_written(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        async with asyncio.timeout(10):
            while not (await self.reload(generation)).message.text:
                await asyncio.sleep(0.05)
        assert (await self.reload(generation)).status == Status.RUNNING
        await stop_generation(generation)

    async def test_events_are_gone_after_a_crash_but_the_text_is_kept(self):
        generation = (await self.start(model="openai:words:900@100")).generation
        async with asyncio.timeout(10):
            while not (await self.reload(generation)).message.text:
                await asyncio.sleep(0.05)
        await engine().close()
        running = Generation.objects.filter(pk=generation.pk)
        await in_transaction(running.update, status=Status.RUNNING)
        await self.restart()
        await recover()
        async with asyncio.timeout(20):
            while (saved := await self.reload(generation)).status == Status.RUNNING:
                await asyncio.sleep(0.1)
        assert saved.status == Status.INTERRUPTED
        assert saved.message.text
        with pytest.raises(EventsExpired):
            await event_log().last(generation.pk)


class DatabaseGenerationTests(GenerationContract, TransactionTestCase):
    event_log = "database"

    async def crash(self, generation, *, at_cursor):
        """Leave everything as a process does that dies after an event."""
        async with asyncio.timeout(10):
            async for batch in event_log().follow(generation.pk):
                if batch and batch[-1].cursor >= at_cursor:
                    break
        await in_transaction(
            Generation.objects.filter(pk=generation.pk).update, worker=uuid4(), epoch=7
        )
        # The process that is left behind finds out by itself that it may not write any more.
        async with asyncio.timeout(10):
            while engine().runs(generation.pk):
                await asyncio.sleep(0.02)
        await in_transaction(Generation.objects.filter(pk=generation.pk).update, epoch=1)
        engine.cache_clear()
        event_log.cache_clear()

    async def test_answer_left_by_a_dead_process_keeps_exactly_what_was_seen(self):
        generation = (await self.start(model="openai:words:500@100")).generation
        await self.crash(generation, at_cursor=4)
        before = await event_log().read(generation.pk, after=0, block=0)
        # Where there can be others, they are watched for a while before they count as dead.
        assert await recover() == is_alone()
        events = await self.events(generation)
        assert events[:-1] == before
        assert events[-1].kind == EventKind.INTERRUPTED
        seen = "".join(e.data["text"] for e in events if e.kind == EventKind.DELTA)
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, seen)
        assert events[-1].data["sha256"] == hashlib.sha256(seen.encode()).hexdigest()
        assert saved.cursor == events[-1].cursor
        await shutdown()

    async def test_answer_of_which_nothing_was_shown_is_begun_again(self):
        generation = (await self.start(model="openai:hang-before-headers")).generation
        await asyncio.sleep(0.1)
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, worker=uuid4(), model="openai:words:3")
        engine.cache_clear()
        event_log.cache_clear()
        assert await recover() == 0
        events = await self.events(generation)
        assert [e.kind for e in events if e.kind != EventKind.DELTA] == ["started", "done"]
        await shutdown()

    async def test_stop_asked_for_elsewhere_ends_a_run(self):
        await recover()
        generation = (await self.start(model="openai:words:900@100")).generation
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, stop_requested_at="2020-01-01T00:00:00Z")
        assert (await self.events(generation))[-1].kind == EventKind.STOPPED
        await shutdown()

    async def test_stop_of_a_run_whose_process_died_is_not_forgotten(self):
        generation = (await self.start(model="openai:words:500@100")).generation
        await self.crash(generation, at_cursor=4)
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, stop_requested_at="2020-01-01T00:00:00Z")
        await recover()
        assert (await self.events(generation))[-1].kind == EventKind.STOPPED
        await shutdown()

    async def test_e13_deleting_the_conversation_ends_its_run(self):
        before = len(self.upstream.journal)
        accepted = await self.start(model="openai:words:900@100")
        generation = accepted.generation
        reader = asyncio.create_task(self.events(generation))
        async with asyncio.timeout(10):
            async for batch in event_log().follow(generation.pk):
                if batch and batch[-1].kind == EventKind.DELTA:
                    break
            await in_transaction(accepted.prompt.conversation.delete)
            while engine().runs(generation.pk):
                await asyncio.sleep(0.02)
        with pytest.raises(EventsExpired):
            await reader
        assert len(self.upstream.journal) == before + 1


class DatabaseConstraintTests(TransactionTestCase):
    def test_the_database_allows_one_running_generation_per_conversation(self):
        with connection.cursor() as cursor:
            constraints = connection.introspection.get_constraints(cursor, "chat_generation")
        assert constraints["one_running_generation_per_conversation"]["unique"]

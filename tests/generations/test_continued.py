"""Answers that go on from one that broke off, with every event log."""

import asyncio
import hashlib
from uuid import uuid4

import pytest
from django.test import TransactionTestCase, override_settings

from chat.database import in_database, in_transaction
from chat.errors import BudgetSpent, IdempotencyConflict, NotContinuable, NotFound
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations import (
    continued,
    engine,
    rates,
    recover,
    regenerate,
    shutdown,
    stop_generation,
    usage,
)
from chat.generations.accept import accept
from chat.generations.asks import Ask
from chat.generations.timing import timed_text
from chat.models import Budget, Generation, Message
from tests.generations.test_accept import AcceptTestCase
from tests.generations.test_generations import GenerationCase
from tests.generations.test_redis import RedisGenerationMixin
from tests.upstream import words_text

Status = Generation.Status
OLD = words_text(3)
HANGING = "openai:hang-before-headers"


def text_of(events):
    return "".join(event.data["text"] for event in events if event.kind == EventKind.DELTA)


class ContinuedContract(GenerationCase):
    """What holds with every event log."""

    async def broken_off(self, model="openai:eof-after:3", **fields):
        generation = (await self.start(model=model, **fields)).generation
        await self.events(generation)
        return await self.reload(generation)

    async def go_on(self, cut, *, model="openai:words:5", **fields):
        fields.setdefault("key", str(uuid4()))
        accepted = await regenerate(
            self.user, message_id=cut.message_id, model=model, continues=True, **fields
        )
        return accepted.generation

    async def assert_whole(self, generation, text, kind):
        """The log, the end that it tells, and the message all have this text."""
        events = await self.events(generation)
        saved = await self.reload(generation)
        assert [event.cursor for event in events] == list(range(1, len(events) + 1))
        assert (events[0].kind, events[-1].kind) == (EventKind.STARTED, kind)
        assert events[0].data["kept"] == len(OLD)
        assert text_of(events) == saved.message.text == text
        assert events[-1].data["length"] == len(text)
        assert events[-1].data["sha256"] == hashlib.sha256(text.encode()).hexdigest()
        assert (saved.status, saved.cursor) == (kind, events[-1].cursor)
        return events, saved

    async def test_it_begins_with_the_old_text_and_stands_beside_the_old_answer(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut)
        events, saved = await self.assert_whole(generation, OLD + words_text(5), "done")
        assert events[0].data == {
            "model": "openai:words:5",
            "message": str(generation.message_id),
            "continues": str(cut.message_id),
            "kept": len(OLD),
        }
        assert (events[1].kind, events[1].data) == (EventKind.DELTA, {"text": OLD})
        assert saved.continues_id == cut.pk
        assert saved.message.parent_id == cut.message.parent_id
        assert (await self.reload(cut)).message.text == OLD

    async def test_the_model_is_told_the_old_answer_and_to_go_on(self):
        cut = await self.broken_off(text="Count.")
        await self.events(await self.go_on(cut))
        told = self.upstream.journal[-1]["body"]["messages"]
        assert [(turn["role"], turn["content"]) for turn in told if turn["role"] != "system"] == [
            ("user", "Count."),
            ("assistant", OLD),
            ("user", continued.INSTRUCTION),
        ]

    async def test_of_an_answer_larger_than_the_context_the_end_is_told(self):
        cut = await self.broken_off(model="openai:words:3000", text="Count.")
        cut.finish_reason = "length"
        await in_transaction(cut.save)
        with self.chat(CONTEXT_TOKENS=1000):
            await self.events(await self.go_on(cut))
        told = self.upstream.journal[-1]["body"]["messages"]
        assert [turn["content"] for turn in told[-3::2]] == ["Count.", continued.INSTRUCTION]
        assert 1500 < len(told[-2]["content"]) < 4000
        assert words_text(3000).endswith(told[-2]["content"])

    async def test_only_what_is_new_is_counted(self):
        cut = await self.broken_off()
        saved = await self.reload(generation := await self.go_on(cut, model="openai:no-usage"))
        events = await self.events(generation)
        saved = await self.reload(generation)
        run, end = await in_database(self._run_and_end, saved)
        used = usage.used_by(run, end)
        assert used.output_tokens == usage.tokens_of(len(text_of(events)) - len(OLD))
        assert used.input_tokens >= usage.tokens_of(len(OLD) + len(continued.INSTRUCTION))

    @staticmethod
    def _run_and_end(generation):
        from chat.generations.end import End, Facts
        from chat.generations.turns import load_run

        end = End(
            status=generation.status,
            text=generation.message.text,
            reasoning=generation.message.reasoning,
            cursor=generation.cursor,
            facts=Facts(),
        )
        return load_run(Generation.objects.get(pk=generation.pk)), end

    async def test_the_old_text_is_no_first_token_and_is_there_from_the_start(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut, model=HANGING)
        await stop_generation(generation)
        saved = await self.reload(generation)
        assert saved.first_delta_at is None
        again = await self.go_on(saved)
        await self.events(again)
        saved = await self.reload(again)
        assert saved.first_delta_at
        text, marks = await in_database(timed_text, saved)
        assert sum(count for _, count in marks) == len(text)
        assert marks[0][1] == len(OLD)

    async def test_a_stop_at_any_moment_keeps_the_old_text(self):
        cut = await self.broken_off()
        for wait in (None, 0, 0.01, 0.2):
            generation = await self.go_on(cut, model=HANGING)
            if wait is not None:
                await asyncio.sleep(wait)
            await stop_generation(generation)
            await self.assert_whole(generation, OLD, "stopped")

    async def test_a_failure_keeps_the_old_text_and_can_be_gone_on_from(self):
        cut = await self.broken_off()
        failed = await self.go_on(cut, model="openai:status:400")
        await self.assert_whole(failed, OLD, "failed")
        assert (await self.reload(failed)).is_cut
        await self.assert_whole(await self.go_on(failed), OLD + words_text(5), "done")

    async def test_without_a_name_it_is_the_old_answers_model(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut, model="")
        assert generation.model == cut.model == "openai:eof-after:3"
        await self.events(generation)

    async def test_it_waits_in_the_queue_and_is_taken_out_without_its_text(self):
        cut = await self.broken_off()
        running = await self.start("two", model=HANGING, conversation_id=cut.conversation_id)
        first, second = await self.go_on(cut), await self.go_on(cut)
        assert [each.status for each in (first, second)] == [Status.QUEUED] * 2
        await stop_generation(second)
        events = await self.events(second)
        assert [event.kind for event in events] == ["stopped"]
        assert events[-1].data["length"] == 0
        assert (await self.reload(second)).message.text == ""
        await stop_generation(running.generation)
        await self.assert_whole(first, OLD + words_text(5), "done")

    async def test_the_same_key_goes_on_once(self):
        cut = await self.broken_off()
        made = await asyncio.gather(*(self.go_on(cut, key="k") for _ in range(4)))
        assert len({each.pk for each in made}) == 1
        await self.events(made[0])
        with pytest.raises(IdempotencyConflict):
            await regenerate(self.user, message_id=cut.message_id, model="openai:words:5", key="k")

    async def test_reasoning_is_new(self):
        cut = await self.broken_off(model="openai:reasoning:reasoning_content")
        cut.finish_reason = "length"
        await in_transaction(cut.save)
        assert cut.message.reasoning
        generation = await self.go_on(cut, model="openai:words:2")
        assert text_of(await self.events(generation)) == cut.message.text + words_text(2)
        assert (await self.reload(generation)).message.reasoning == ""

    async def test_long_answers_are_split_and_bounded_as_one(self):
        cut = await self.broken_off(model="openai:big:40000")
        cut.finish_reason = "length"
        await in_transaction(cut.save)
        with self.chat(MAX_ANSWER_BYTES=50_000):
            generation = await self.go_on(cut, model="openai:infinite")
            events = await self.events(generation)
        deltas = [e.data["text"] for e in events if e.kind == EventKind.DELTA]
        assert "".join(deltas).startswith(cut.message.text)
        assert max(map(len, deltas)) <= 16_384
        assert events[-1].data["code"] == "too_long"
        assert 40_000 < events[-1].data["length"] <= 50_000
        saved = await self.reload(generation)
        assert not saved.is_cut
        with pytest.raises(NotContinuable):
            await self.go_on(saved)

    async def test_a_budget_that_is_spent_refuses_it(self):
        cut = await self.broken_off()
        self.addCleanup(rates.forget)
        await in_transaction(Budget.objects.create, name="b", amount=1, period="total")
        with pytest.raises(BudgetSpent):
            await self.go_on(cut)

    async def test_shutdown_keeps_the_old_text(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut, model=HANGING)
        await shutdown()
        saved = await self.reload(generation)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, OLD)


class MemoryContinuedTests(ContinuedContract, TransactionTestCase):
    event_log = "memory"

    async def test_the_old_text_outlives_a_crash(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut, model=HANGING)
        await engine().close()
        row = Generation.objects.filter(pk=generation.pk)
        message = Message.objects.filter(pk=generation.message_id)
        await in_transaction(row.update, status=Status.RUNNING)
        await in_transaction(message.update, text=OLD)
        engine.cache_clear()
        event_log.cache_clear()
        await recover()
        async with asyncio.timeout(20):
            while not (saved := await self.reload(generation)).is_terminal:
                await asyncio.sleep(0.1)
        assert (saved.status, saved.message.text) == (Status.INTERRUPTED, OLD)
        await shutdown()


class RecoveredContract:
    """With a log that outlives its process."""

    async def left(self, generation, *, at_cursor, model="openai:words:5"):
        """Leave a generation as a process does that dies when the log has come so far."""
        async with asyncio.timeout(10):
            async for batch in event_log().follow(generation.pk):
                if batch and batch[-1].cursor >= at_cursor:
                    break
        await event_log().close()
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, worker=uuid4(), model=model)
        engine.cache_clear()
        event_log.cache_clear()

    async def test_what_had_shown_only_the_old_text_is_begun_again_behind_it(self):
        for at_cursor in (1, 2):
            cut = await self.broken_off()
            generation = await self.go_on(cut, model=HANGING)
            await self.left(generation, at_cursor=at_cursor)
            await recover()
            await self.assert_whole(generation, OLD + words_text(5), "done")
            await shutdown()
            engine.cache_clear()
            event_log.cache_clear()

    async def test_what_had_shown_more_is_kept_and_ends(self):
        cut = await self.broken_off()
        generation = await self.go_on(cut, model="openai:hang-after:2")
        await self.left(generation, at_cursor=3)
        await recover()
        events = await self.events(generation)
        text = text_of(events)
        assert text.startswith(OLD)
        assert len(text) > len(OLD)
        await self.assert_whole(generation, text, "interrupted")
        await shutdown()


class DatabaseContinuedTests(RecoveredContract, ContinuedContract, TransactionTestCase):
    event_log = "database"


class RedisContinuedTests(
    RedisGenerationMixin, RecoveredContract, ContinuedContract, TransactionTestCase
):
    pass


class RefusedTests(AcceptTestCase):
    """What cannot be gone on from, and that nothing is saved then."""

    def go_on(self, accepted, **fields):
        return self.ask(answer_id=accepted.generation.message_id, continues=True, **fields)

    def refused(self, accepted, words):
        before = Message.objects.count()
        with pytest.raises(NotContinuable, match=words) as caught:
            self.go_on(accepted)
        assert (caught.value.code, caught.value.status) == ("not_continuable", 409)
        assert Message.objects.count() == before

    def ended(self, *, text="an answer", status=Status.DONE, **fields):
        accepted = self.ask()
        self.end(accepted, text=text, status=status)
        Generation.objects.filter(pk=accepted.generation.pk).update(**fields)
        return accepted

    def test_what_is_whole_is_written_or_has_no_text(self):
        self.refused(self.ended(), "whole")
        self.refused(self.ask(), "still being written")
        self.refused(self.ended(text="", status=Status.STOPPED), "no text")
        too_long = {"code": "too_long", "message": "", "retryable": False}
        self.refused(self.ended(status=Status.FAILED, error=too_long), "whole")

    def test_answers_of_agents(self):
        self.refused(self.ended(status=Status.STOPPED, agent="router"), "agent")

    def test_answers_without_a_generation(self):
        accepted = self.ended(status=Status.STOPPED)
        Generation.objects.all().delete()
        self.refused(accepted, "whole")

    def test_strangers(self):
        accepted = self.ended(status=Status.STOPPED)
        with pytest.raises(NotFound):
            self.go_on(accepted, user=self.other)

    def test_what_broke_off_can_be(self):
        for status, reason in (
            (Status.DONE, "length"),
            (Status.DONE, "budget"),
            (Status.STOPPED, ""),
            (Status.FAILED, ""),
            (Status.INTERRUPTED, ""),
        ):
            accepted = self.ended(status=status, finish_reason=reason)
            generation = self.go_on(accepted).generation
            assert generation.continues == accepted.generation
            assert generation.message.text == "an answer"
            Generation.objects.filter(pk=generation.pk).update(status=Status.DONE)

    def test_an_agents_conversation_does_not_make_it_an_agents_answer(self):
        accepted = self.ended(status=Status.STOPPED)
        conversation = accepted.prompt.conversation
        conversation.agent, conversation.model = "router", "openai:another"
        conversation.save()
        generation = self.go_on(accepted).generation
        assert (generation.agent, generation.model) == ("", "demo")

    @override_settings(CHAT={"MESSAGES_PER_MINUTE": 100})
    def test_another_request_of_the_same_key_is_refused(self):
        accepted = self.ended(status=Status.STOPPED)
        ask = Ask(
            user=self.user,
            key="k",
            default_model="demo",
            answer_id=accepted.generation.message_id,
            continues=True,
        )
        first = accept(ask)
        assert accept(ask).generation == first.generation
        with pytest.raises(IdempotencyConflict):
            self.ask(key="k", answer_id=accepted.generation.message_id)

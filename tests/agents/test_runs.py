"""Runs of agents that do not go well, are waited for, begun again, or taken over."""

import asyncio
import subprocess
import sys
from contextlib import aclosing
from uuid import uuid4

import pytest
from django.conf import settings

from chat.agents.run import stream_agent
from chat.database import in_database, in_transaction
from chat.errors import Fenced, UnknownAgent
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations import engine, recover, regenerate, shutdown, stop_generation
from chat.generations import steps as step_units
from chat.generations.watch import is_alone
from chat.llm.pieces import Piece
from chat.models import Conversation, Generation, Message, Step
from tests.agents.base import AgentCase
from tests.servers import _environment, migrated_database
from tests.upstream import words_text

Status = Generation.Status
STARTED, DONE, FAILED = Step.Status.STARTED, Step.Status.DONE, Step.Status.FAILED

PLAIN = """
import asyncio, os, sys, uuid
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import django
django.setup()
from chat.eventlog.memory import MemoryEventLog
from chat.generations.turns import Run
from chat.generations.writer import Writer

async def main():
    pk, log = uuid.uuid4(), MemoryEventLog()
    await log.open(pk, epoch=1)
    run = Run(generation_id=pk, epoch=1, conversation_id=pk, owner_id=1, message_id=pk,
              model="demo", history=[], prompt="hi", options={"max_tokens": 2})
    await Writer(run, log).write()
    print(len(await log.settled(pk)), "langchain_core" in sys.modules, "langgraph" in sys.modules)

asyncio.run(main())
"""


def test_a_plain_answer_loads_no_graph(tmp_path):
    (tmp_path / "db.sqlite3").write_bytes(migrated_database())
    done = subprocess.run(
        [sys.executable, "-c", PLAIN],
        cwd=settings.BASE_DIR,
        env=_environment({"CHAT_DATA_DIR": str(tmp_path)}),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["3", "True", "False"], done.stderr


class RunTests(AgentCase):
    async def test_steps_are_told_in_order_when_their_rows_are_saved(self):
        generation = (await self.ask("Why?", "answer_question")).generation
        told = []
        async for batch in event_log().follow(generation.pk):
            for event in batch:
                if event.kind != EventKind.STEP:
                    continue
                row = await in_database(
                    Step.objects.get, generation=generation, sequence=event.data["sequence"]
                )
                assert event.data["status"] in (row.status, STARTED)
                told.append((event.data["name"], event.data["status"]))
        assert told == [
            (name, status)
            for name in ("prompt", "check_safety", "decide_mode", "answer_question")
            for status in ("started", "done")
        ]
        events = await self.events(generation)
        assert events[0].data["agent"] == "router"
        decided = [e.data for e in events if e.data.get("name") == "decide_mode"]
        assert decided[-1] == {
            "name": "decide_mode",
            "status": "done",
            "sequence": 2,
            "result": {"mode": "answer_question"},
        }

    async def test_an_upstream_error_in_the_mode_question_fails_its_step_and_the_answer(self):
        generation = (await self.ask("Why?", "status:401")).generation
        told = await self.told_steps(generation)
        assert told[-2:] == [("decide_mode", "started"), ("decide_mode", "failed")]
        saved = await self.reload(generation)
        assert (saved.status, saved.error["code"]) == (Status.FAILED, "upstream_auth")
        *before, step = await self.steps(saved)
        assert [each.status for each in before] == [DONE, DONE]
        assert (step.name, step.status) == ("decide_mode", FAILED)
        assert "Traceback" in step.error
        assert "UpstreamAuth" in step.error
        assert step.state_after is None
        assert step.ended_at

    async def test_a_failed_request_for_the_mode_is_tried_again_and_told(self):
        generation = (await self.ask("Why?", "status:503:0", "answer_question")).generation
        steps = await self.told_steps(generation)
        assert ("retry", "started") in steps
        assert (await self.reload(generation)).message.text == words_text(5)

    async def test_1_7_09_an_error_in_mid_answer_keeps_the_text_in_message_and_state(self):
        generation = await self.answer("Why?", "answer_question", "eof-after:3")
        assert (generation.status, generation.message.text) == (Status.FAILED, words_text(3))
        step = (await self.steps(generation))[-1]
        assert (step.name, step.status) == ("answer_question", FAILED)
        assert "UpstreamTruncated" in step.error
        assert step.state_after["response"] == words_text(3)
        assert step.state_after["chat_history"][-1]["content"] == words_text(3)
        again = await self.answer("Go on", "unknown", conversation_id=generation.conversation_id)
        before = (await self.steps(again))[0].state_before
        assert before["chat_history"] == step.state_after["chat_history"]

    async def test_a_stop_in_mid_answer_marks_the_running_step(self):
        accepted = await self.ask("Why?", "answer_question", "words:5000@100")
        await self.until(accepted.generation, EventKind.DELTA)
        stopped = await stop_generation(accepted.generation)
        assert stopped.status == Status.STOPPED
        assert self.upstream.wait_for(lambda journal: journal[-1]["closed"])
        saved = await self.reload(stopped)
        *before, step = await self.steps(saved)
        assert [each.status for each in before] == [DONE] * 3
        assert (step.status, step.error) == (FAILED, "Stopped before its end.")
        assert step.state_after["response"] == saved.message.text != ""
        assert step.deltas > 0
        assert step.first_delta_at

    async def test_a_stop_during_the_mode_question_ends_that_question(self):
        accepted = await self.ask("Why?", "hang-after:0")
        await self.until(accepted.generation, EventKind.STEP, step="decide_mode")
        assert self.upstream.wait_for(len)
        stopped = await stop_generation(accepted.generation)
        assert self.upstream.wait_for(lambda journal: journal[-1]["closed"])
        saved = await self.reload(stopped)
        step = (await self.steps(saved))[-1]
        assert (saved.status, saved.message.text) == (Status.STOPPED, "")
        assert (step.name, step.status, step.state_after) == ("decide_mode", FAILED, None)

    async def test_a_stop_at_any_moment_leaves_no_step_running(self):
        for seconds in (0, 0.005, 0.01, 0.02, 0.03, 0.05):
            accepted = await self.ask("Why?", "answer_question", "words:100@100")
            await asyncio.sleep(seconds)
            await stop_generation(accepted.generation)
            self.upstream.reset()
        rows = await self.rows()
        assert not [row for row in rows if row.status == STARTED or row.ended_at is None]

    async def test_prompts_that_wait_are_answered_by_their_own_agent(self):
        first = await self.ask("One", "answer_question", "words:20@200")
        conversation = {"conversation_id": first.prompt.conversation_id}
        second = await self.start("Two", model="openai:words:3", **conversation)
        third = await self.start("Three", model="openai:words:2", agent="", **conversation)
        assert [second.position, third.position] == [1, 2]
        self.script("generate_poem")
        await self.events(third.generation)
        saved = [await self.reload(each.generation) for each in (first, second, third)]
        assert [each.agent for each in saved] == ["router", "router", ""]
        steps = [await self.steps(each) for each in saved]
        assert [each[-1].name for each in steps] == ["answer_question", "generate_poem", "answer"]
        assert [each[0].sequence for each in steps] == [0, 4, 8]

    async def test_an_answer_is_given_again_by_the_agent_of_its_conversation(self):
        first = await self.answer("Why?", "answer_question")
        self.script("generate_poem")
        again = await regenerate(self.user, message_id=first.message_id, key="again")
        await self.events(again.generation)
        saved = await self.reload(again.generation)
        assert saved.agent == "router"
        steps = await self.steps(saved)
        assert steps[-1].name == "generate_poem"
        assert steps[0].state_before["chat_history"] == []
        plain = await regenerate(self.user, message_id=first.message_id, key="plain", agent="")
        await self.events(plain.generation)
        assert (await self.reload(plain.generation)).agent == ""

    async def test_an_unknown_agent_is_refused_and_nothing_is_saved(self):
        with pytest.raises(UnknownAgent):
            await self.start(agent="nonsense")
        assert await in_database(Message.objects.count) == 0

    async def test_an_agent_that_is_set_up_no_more_fails_its_answer(self):
        first = await self.answer("Why?", "answer_question")
        chat = Conversation.objects.filter(pk=first.conversation_id)
        await in_transaction(chat.update, agent="retired")
        generation = await self.answer("And?", agent=None, conversation_id=first.conversation_id)
        assert generation.error["code"] == "unknown_agent"

    async def test_a_plain_answer_has_no_rows_and_reads_as_one_step(self):
        generation = await self.answer("Why?", agent=None)
        assert await self.rows() == []
        (step,) = await self.steps(generation)
        assert (step.pk, step.sequence, step.name, step.status) == (None, 0, "answer", DONE)
        assert (step.started_at, step.ended_at) == (generation.started_at, generation.ended_at)
        assert (step.usage, step.inputs) == (generation.usage, {"prompt": "Why?"})
        assert step.state_after["response"] == words_text(5)
        failed = await self.answer("Why?", "status:401", agent=None)
        (step,) = await self.steps(failed)
        assert (step.status, step.error.partition(":")[0]) == (FAILED, "upstream_auth")

    async def test_the_reasoning_of_a_model_is_passed_on(self):
        generation = (await self.ask("Why?", "answer_question", "reasoning:reasoning")).generation
        events = await self.events(generation)
        thoughts = "".join(e.data["text"] for e in events if e.kind == EventKind.REASONING)
        assert thoughts == "Let me think about it."
        assert (await self.reload(generation)).message.text == "The answer."

    async def test_a_slow_reader_of_an_agent_slows_the_model_down(self):
        self.upstream.script("text:answer_question", "infinite")
        run = stream_agent(
            "router", model="openai:x", system="", history=[], prompt="Why?", options=None
        )
        async with aclosing(run) as told, asyncio.timeout(30):
            async for part in told:
                if isinstance(part, Piece) and part.text:
                    break
            sent = -1
            while sent != (sent := self.upstream.journal[-1]["sent"]):
                await asyncio.sleep(0.5)

    async def test_what_waits_has_no_steps(self):
        first = await self.ask("One", "answer_question", "words:500@100")
        second = await self.start("Two", conversation_id=first.prompt.conversation_id)
        assert await self.steps(await self.reload(second.generation)) == []
        for accepted in (second, first):
            await stop_generation(accepted.generation)


class TakeOverTests(AgentCase):
    async def leave(self, generation):
        """Leave everything as a process does that dies now, and forget what it knew."""
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, worker=uuid4(), epoch=7)
        engine.cache_clear()
        event_log.cache_clear()

    async def test_a_run_of_which_nothing_was_shown_starts_its_steps_anew(self):
        accepted = await self.ask("Why?", "hang-after:0")
        generation = accepted.generation
        await self.until(generation, EventKind.STEP, step="decide_mode")
        left = await self.rows()
        assert [(row.name, row.status) for row in left][-1] == ("decide_mode", STARTED)
        row = Generation.objects.filter(pk=generation.pk)
        await in_transaction(row.update, worker=uuid4())
        engine.cache_clear()
        event_log.cache_clear()
        self.script("generate_poem")
        assert await recover() == 0
        await self.events(generation)
        saved = await self.reload(generation)
        steps = await self.steps(saved)
        assert saved.status == Status.DONE
        assert [step.sequence for step in steps] == [0, 1, 2, 3]
        assert {step.status for step in steps} == {DONE}
        assert not {step.pk for step in steps} & {row.pk for row in left}
        told = [name for name, _ in await self.told_steps(generation)]
        assert told.count("prompt") == 4
        await shutdown()

    async def test_a_run_that_was_shown_is_interrupted_with_its_step(self):
        accepted = await self.ask("Why?", "answer_question", "words:5000@100")
        generation = accepted.generation
        await self.until(generation, EventKind.DELTA)
        running = engine()
        await self.leave(generation)
        # What is left behind finds out by itself that it may not write any more.
        async with asyncio.timeout(20):
            while running.runs(generation.pk):
                await asyncio.sleep(0.02)
        assert await recover() == is_alone()
        await self.events(generation)
        saved = await self.reload(generation)
        step = (await self.steps(saved))[-1]
        assert saved.status == Status.INTERRUPTED
        assert (step.status, step.error) == (FAILED, "Its process has ended.")
        assert step.state_after["response"] == saved.message.text != ""
        await shutdown()

    async def test_a_writer_that_is_fenced_saves_no_step(self):
        accepted = await self.ask("Why?", "hang-after:0")
        generation = accepted.generation
        await self.until(generation, EventKind.STEP, step="decide_mode")
        before = await self.rows()
        await in_transaction(Generation.objects.filter(pk=generation.pk).update, epoch=7)
        step = Step(generation=generation, sequence=9, name="late")
        with pytest.raises(Fenced):
            await in_transaction(step_units.save, generation.pk, 1, [step], are_first=True)
        await in_transaction(Generation.objects.filter(pk=generation.pk).update, epoch=1)
        await stop_generation(generation)
        assert [row.pk for row in await self.rows()] == [row.pk for row in before]

    async def test_saving_the_same_boundary_twice_is_no_mistake(self):
        accepted = await self.ask("Why?", "hang-after:0")
        generation = accepted.generation
        # Its own first step, when it is saved, would delete what it does not know.
        await self.until(generation, EventKind.STEP, step="decide_mode")
        step = Step(generation=generation, sequence=9, name="twice")
        for status in (STARTED, DONE, DONE):
            step.status = status
            await in_transaction(step_units.save, generation.pk, 1, [step], are_first=False)
        saved = await in_database(Step.objects.get, name="twice")
        assert saved.status == DONE
        await stop_generation(generation)

"""Graphs registered by dotted path: what is told of them, and how they answer."""

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

from chat.agents.graph import Transition
from chat.agents.plain import as_plain
from chat.agents.registry import agent_entries, available_agents, check_agent_name, load_agent
from chat.errors import UnknownAgent
from chat.models import Generation, Step
from tests.agents import graphs
from tests.agents.base import RULES_ONLY, AgentCase
from tests.upstream import words_text

Status = Generation.Status
HERE = "tests.agents.graphs"


class RegisteredTests(AgentCase):
    agents = {
        "greeter": {"class": f"{HERE}.greeter", "greeting": "Good day"},
        "speaker": f"{HERE}.speaker",
        "pair": f"{HERE}.pair",
        "broken": f"{HERE}.broken",
        "deaf": f"{HERE}.deaf",
        "no_graph": f"{HERE}.no_graph",
        "nowhere": "tests.nowhere.build",
        "misspelt": {"class": f"{HERE}.greeter", "greting": "Hi"},
    }

    async def test_text_of_custom_events_is_the_answer(self):
        first = await self.answer("Ann", agent="greeter")
        assert first.message.text == "Good day, Ann! (0)"
        again = await self.answer("Bob", agent="greeter", conversation_id=first.conversation_id)
        assert again.message.text == "Good day, Bob! (2)"
        assert (again.status, again.finish_reason) == (Status.DONE, "stop")
        choose, greet = await self.steps(again)
        assert (choose.name, choose.sequence, choose.state_after["seen"]) == (
            "choose",
            2,
            ["choose"],
        )
        assert greet.state_after["seen"] == ["choose", "greet"]
        assert greet.deltas == 2

    async def test_only_the_messages_of_a_last_action_are_the_answer(self):
        generation = await self.answer("Why?", agent="speaker", model="openai:words:5")
        assert generation.message.text == words_text(5)
        assert self.asked == [[("user", "Why?")]]
        think, speak = await self.steps(generation)
        assert think.state_after["messages"][1]["content"] == "Let me think."
        assert think.deltas == 0
        assert speak.deltas > 0
        assert generation.usage["output_tokens"] == speak.usage["output_tokens"] == 5

    async def test_actions_at_the_same_time_are_steps_beside_each_other(self):
        generation = await self.answer("x", agent="pair")
        assert generation.message.text == "left+right"
        *both, last = await self.steps(generation)
        assert {step.name for step in both} == {"left", "right"}
        assert [step.sequence for step in (*both, last)] == [0, 1, 2]
        assert [step.state_after["seen"] for step in both] == [["left", "right"]] * 2

    async def test_a_defect_of_a_graph_fails_the_answer_and_is_seen_by_staff_only(self):
        with self.assertLogs("chat", logging.ERROR):
            generation = await self.answer("x", agent="broken")
        assert (generation.status, generation.error["code"]) == (Status.FAILED, "internal_error")
        (step,) = await self.steps(generation)
        assert step.status == Step.Status.FAILED
        assert "KeyError" in step.error
        assert "in fail" in step.error
        assert "verysecret" not in step.error
        assert step.state_after is None

    async def test_an_agent_that_cannot_be_built_fails_its_answer(self):
        for name in ("deaf", "no_graph", "nowhere", "misspelt"):
            with pytest.raises(ImproperlyConfigured, match=name):
                await load_agent(name)
        with self.assertLogs("chat", logging.ERROR):
            generation = await self.answer("x", agent="deaf")
        assert generation.error["code"] == "internal_error"
        (step,) = await self.steps(generation)
        assert (step.name, step.status) == ("answer", Step.Status.FAILED)

    async def test_a_graph_describes_itself(self):
        agent = await load_agent("greeter")
        assert agent.description == "Says how often it was asked."
        graph = agent.graph
        assert graph.entrypoint == "choose"
        assert graph.transitions == (
            Transition(source="choose", target="greet", condition="default"),
        )
        choose, greet = graph.actions
        assert (choose.kind, choose.is_terminal) == ("action", False)
        assert (greet.kind, greet.is_terminal) == ("stream", True)
        assert set(choose.reads) == set(graphs.Asked.__annotations__)
        assert choose.code.startswith("async def choose(state: Asked):\n    return")

    async def test_every_agent_of_the_settings_is_there_beside_the_built_in_one(self):
        assert list(agent_entries()) == ["router", *self.agents]
        with self.chat(AGENTS={"greeter": self.agents["greeter"]}):
            assert [agent.name for agent in await available_agents()] == ["router", "greeter"]

    async def test_an_entry_may_replace_the_built_in_agent(self):
        with self.chat(AGENTS={"router": RULES_ONLY | {"modes": {"sing": {"prefix": "Sing"}}}}):
            assert (await load_agent("router")).graph.action("sing")
        assert (await load_agent("router")).graph.action("generate_poem")

    def test_a_name_that_is_not_set_up_is_told_those_that_are(self):
        with pytest.raises(UnknownAgent, match=r"'other'.* router, greeter"):
            check_agent_name("other")


class PlainTests(SimpleTestCase):
    def test_whatever_a_state_holds_becomes_storable_json(self):
        held = {
            1: float("nan"),
            "text": "a\0b\ud800",
            "set": {1},
            "object": object,
            "nested": [(1, 2.5, None, True)],
        }
        assert as_plain(held) == {
            "1": "nan",
            "text": "a\ufffdb\ufffd",
            "set": [1],
            "object": "<class 'object'>",
            "nested": [[1, 2.5, None, True]],
        }

    def test_what_contains_itself_ends_somewhere(self):
        loop = []
        loop.append(loop)
        assert str(as_plain(loop)).startswith("[[[")

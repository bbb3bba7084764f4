"""The built-in agent: which way each prompt goes, and what is kept of it."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from chat.agents.registry import load_agent
from chat.agents.router import CLARIFICATION, MODES, REFUSAL, build
from chat.events import EventKind
from chat.models import Generation, Step
from tests.agents.base import QUICK, RULES_ONLY, AgentCase
from tests.upstream import words_text

Status = Generation.Status
BEFORE = ["prompt", "check_safety", "decide_mode"]


def turns(*texts):
    """Return a chat history of user and assistant in turn."""
    return [
        {"role": "assistant" if i % 2 else "user", "content": text, "type": "text"}
        for i, text in enumerate(texts)
    ]


class BranchTests(AgentCase):
    async def check_branch(self, word, name):
        generation = await self.answer("A prompt", word)
        steps = await self.steps(generation)
        assert [step.name for step in steps] == [*BEFORE, name]
        assert {step.status for step in steps} == {Step.Status.DONE}
        assert (generation.status, generation.finish_reason) == (Status.DONE, "stop")
        return generation, steps

    async def test_each_mode_has_a_way_of_its_own(self):
        for name, mode in MODES.items():
            generation, steps = await self.check_branch(name, name)
            assert generation.message.text == words_text(5)
            question, answer = self.asked[-2:]
            assert "A prompt" in question[-1][1]
            assert answer[-1] == ("user", f"{mode['prefix']}: A prompt")
            assert steps[2].state_after["mode"] == name

    async def test_1_7_08_a_mode_counts_whatever_its_case_and_punctuation(self):
        await self.check_branch("Answer_Question", "answer_question")
        await self.check_branch("generate_code.", "generate_code")
        await self.check_branch(" **Generate Poem** ", "generate_poem")

    async def test_any_other_word_asks_for_more_without_asking_the_model(self):
        for word in ("unknown", "nonsense", ""):
            before = len(self.upstream.journal)
            generation, steps = await self.check_branch(f"text:{word}", "prompt_for_more")
            assert generation.message.text == CLARIFICATION
            assert steps[2].state_after["mode"] == "unknown"
            assert len(self.upstream.journal) == before + 1

    async def test_1_7_07_an_unsafe_prompt_is_refused_without_any_call_of_a_model(self):
        generation = await self.answer("tell me something unsafe")
        steps = await self.steps(generation)
        assert [step.name for step in steps] == ["prompt", "check_safety", "unsafe_response"]
        assert steps[1].result == {"safe": False, "reason": "asks for something unsafe"}
        assert generation.message.text == REFUSAL
        assert generation.usage is None
        assert self.upstream.journal == []

    async def test_a_canned_reply_is_streamed_word_by_word_and_stored_exactly(self):
        generation = (await self.ask("tell me something unsafe")).generation
        events = await self.events(generation)
        deltas = [event.data["text"] for event in events if event.kind == EventKind.DELTA]
        assert deltas == ["I ", "am ", "afraid ", "I ", "can't ", "respond ", "to ", "that..."]
        *_, step = await self.steps(await self.reload(generation))
        assert (step.deltas, step.state_after["response"]) == (len(deltas), REFUSAL)


class DemoTests(AgentCase):
    event_log = "memory"  # The quickest.

    async def test_the_demo_model_takes_every_way(self):
        for prompt, name in {
            "Write a haiku about snow": "generate_poem",
            "Write a Rust function that counts words": "generate_code",
            "What is the capital of France?": "answer_question",
            "hm": "prompt_for_more",
            "tell me something unsafe": "unsafe_response",
        }.items():
            generation = await self.answer(prompt, model="quick")
            step = (await self.steps(generation))[-1]
            assert step.name == name, prompt
            assert generation.message.text
            if name in MODES:
                assert "demonstration model" in generation.message.text
        assert self.upstream.journal == []


class HistoryTests(AgentCase):
    async def test_a_prefix_is_seen_by_the_model_alone_and_only_once(self):
        first = await self.answer("Rain", "generate_poem", "text:It falls.")
        second = await self.answer(
            "Snow", "generate_code", "text:print()", conversation_id=first.conversation_id
        )
        assert first.message.parent.text == "Rain"
        assert second.message.parent.text == "Snow"
        prefix = MODES["generate_code"]["prefix"]
        assert self.asked[-1] == [
            ("system", "You are a helpful assistant."),
            ("user", "Rain"),
            ("assistant", "It falls."),
            ("user", f"{prefix}: Snow"),
        ]
        rows = str([(step.state_before, step.state_after) for step in await self.rows()])
        assert not any(mode["prefix"] in rows for mode in MODES.values())

    async def test_1_7_11_steps_are_counted_through_a_conversation(self):
        first = await self.answer("One", "answer_question")
        unsafe = await self.answer(
            "tell me something unsafe", conversation_id=first.conversation_id
        )
        plain = await self.answer("Two", agent="", conversation_id=first.conversation_id)
        last = await self.answer("Three", "unknown", conversation_id=first.conversation_id)
        sequences = [
            [step.sequence for step in await self.steps(each)]
            for each in (first, unsafe, plain, last)
        ]
        assert sequences == [[0, 1, 2, 3], [4, 5, 6], [7], [8, 9, 10, 11]]
        for step in await self.rows():
            assert step.started_at <= (step.first_delta_at or step.ended_at) <= step.ended_at

    async def test_the_state_after_a_step_is_the_state_before_the_next(self):
        first = await self.answer("One", "answer_question", "text:Yes.")
        generation = await self.answer(
            "Two", "generate_poem", "text:No.", conversation_id=first.conversation_id
        )
        prompt, safety, mode, poem = await self.steps(generation)
        assert (prompt.inputs, prompt.state_before) == (
            {"prompt": "Two"},
            {"chat_history": turns("One", "Yes.")},
        )
        asked = {"prompt": "Two", "chat_history": turns("One", "Yes.", "Two")}
        assert prompt.state_after == safety.state_before == asked
        assert safety.state_after == mode.state_before == asked | {"safe": True}
        decided = asked | {"safe": True, "mode": "generate_poem"}
        assert mode.state_after == poem.state_before == decided
        assert poem.state_after == decided | {
            "response": "No.",
            "chat_history": turns("One", "Yes.", "Two", "No."),
        }
        assert mode.result == {"mode": "generate_poem"}

    async def test_usage_is_counted_per_step_and_in_all(self):
        generation = await self.answer("Why?", "text:answer_question", model="openai:words:5")
        steps = await self.steps(generation)
        assert [step.usage for step in steps[:2]] == [None, None]
        assert steps[3].usage == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
        total = steps[2].usage["total_tokens"] + 12
        assert generation.usage["total_tokens"] == total > 12

    async def test_the_options_of_a_request_reach_the_answer_and_not_the_question(self):
        await self.answer("Why?", "answer_question", options={"max_tokens": 3})
        question, answer = (entry["body"] for entry in self.upstream.journal)
        assert "max_tokens" not in question
        assert answer["max_tokens"] == 3


class SafetyOfModelTests(AgentCase):
    agents = {"router": QUICK}

    async def test_a_real_model_is_asked_what_the_rules_let_through(self):
        generation = await self.answer("Why?", "safe", "answer_question")
        assert generation.message.text == words_text(5)
        assert "safe, unsafe" in self.asked[0][-1][1]
        assert (await self.steps(generation))[1].usage

    async def test_a_prompt_that_the_model_judges_unsafe_is_refused(self):
        generation = await self.answer("Why?", "Unsafe.")
        assert generation.message.text == REFUSAL
        assert len(self.upstream.journal) == 1

    async def test_an_unclear_judgement_refuses_nothing(self):
        generation = await self.answer("Why?", "I cannot say", "answer_question")
        assert generation.message.text == words_text(5)


class ModerationTests(AgentCase):
    agents = {"router": QUICK | {"safety": ["rules", "moderation"]}}

    async def test_what_the_provider_flags_is_refused(self):
        generation = await self.answer("They hurt me")
        assert generation.message.text == REFUSAL
        assert (await self.steps(generation))[1].result["reason"] == "violence"
        assert [each["input"] for each in self.upstream.moderated] == ["They hurt me"]
        assert self.upstream.journal == []

    async def test_what_it_does_not_flag_is_answered(self):
        generation = await self.answer("Why?", "answer_question")
        assert generation.message.text == words_text(5)
        assert len(self.upstream.moderated) == 1

    async def test_a_moderation_that_fails_lets_nothing_through(self):
        for status, code in {404: "upstream_rejected", 401: "upstream_auth"}.items():
            self.upstream.moderation_status = status
            generation = await self.answer("Why?")
            assert generation.error["code"] == code
            assert (await self.steps(generation))[-1].name == "check_safety"
        assert self.upstream.journal == []

    async def test_a_model_of_another_kind_is_not_moderated(self):
        generation = await self.answer("hm", model="quick")
        assert generation.message.text == CLARIFICATION
        assert self.upstream.moderated == []


class SettingTests(AgentCase):
    agents = {
        "router": RULES_ONLY
        | {
            "modes": {"translate": {"prefix": "Translate into French", "example": "good morning"}},
            "question": "Which mode?",
            "model": "openai:judge",
            "refusal": "No.",
            "clarification": "What?",
        }
    }

    async def test_modes_prompts_and_replies_are_settings(self):
        generation = await self.answer("Good night", "translate")
        question, answer = self.upstream.journal
        assert question["model"] == "judge"
        text = question["body"]["messages"][-1]["content"]
        assert text.startswith("Which mode?\n'good morning' is translate.\n")
        assert "translate, unknown" in text
        assert answer["body"]["messages"][-1]["content"] == "Translate into French: Good night"
        assert [step.name for step in await self.steps(generation)][-1] == "translate"
        assert (await self.answer("hm", "unknown")).message.text == "What?"
        assert (await self.answer("tell me something unsafe")).message.text == "No."

    async def test_its_graph_has_the_modes_as_actions(self):
        graph = (await load_agent("router")).graph
        assert [(t.source, t.target, t.condition) for t in graph.transitions] == [
            ("prompt", "check_safety", "default"),
            ("check_safety", "decide_mode", "safe=True"),
            ("check_safety", "unsafe_response", "default"),
            ("decide_mode", "translate", "mode=translate"),
            ("decide_mode", "prompt_for_more", "default"),
        ]

    def test_a_mode_that_cannot_be_is_refused(self):
        for modes in ({"prompt": {"prefix": "x"}}, {"a b": {"prefix": "x"}}, {"poem": {"x": "y"}}):
            with pytest.raises(ImproperlyConfigured):
                build(modes=modes)

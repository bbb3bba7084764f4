import random

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.chain import stream_answer
from chat.llm.demo import TOKEN, DemoChatModel
from chat.llm.demo_texts import answer_to, form_of, language_of, topic_of
from tests.llm.base import chat

DEMO = {"class": "chat.llm.demo.DemoChatModel", "tokens_per_second": 0}


async def ask(prompt, **options):
    with chat(MODELS={"quick": DEMO}):
        stream = stream_answer(model="quick", system="", history=[], prompt=prompt, options=options)
        return [piece async for piece in stream]


class DemoTests(SimpleTestCase):
    async def test_same_prompt_gets_the_same_complete_answer(self):
        first, second = await ask("Explain tides"), await ask("Explain tides")
        assert first == second
        assert first[-1].finish_reason == "stop"
        assert first[-1].usage["output_tokens"] == len(first) - 1

    async def test_reasoning_comes_before_the_text(self):
        pieces = await ask("Please explain to me in detail how the tides come about")
        kinds = ["reasoning" if piece.reasoning else "text" for piece in pieces]
        assert kinds == sorted(kinds)
        assert kinds[0] == "reasoning"

    async def test_answer_says_what_it_is_and_how_to_connect_a_model(self):
        text = "".join(piece.text for piece in await ask("Hi"))
        for word in ("demonstration model", "OPENAI_BASE_URL", "OPENAI_API_KEY", "OLLAMA_HOST"):
            assert word in text

    async def test_it_ends_at_a_length_and_before_a_stop(self):
        whole = await ask("Hi")
        assert len(whole) > 10
        for options in ({"max_tokens": 4}, {"max_completion_tokens": 4}):
            *pieces, end = await ask("Hi", **options)
            assert pieces == whole[:4]
            assert (end.finish_reason, end.usage["output_tokens"]) == ("length", 4)
        *pieces, end = await ask("Hi", stop=["nowhere", "demonstration"])
        text = "".join(piece.text for piece in whole)
        assert "".join(piece.text for piece in pieces) == text.partition("demonstration")[0]
        assert end.finish_reason == "stop"
        assert await ask("Hi", max_tokens=10_000) == whole

    async def test_other_ways_to_call_the_model_collect_its_stream(self):
        model = DemoChatModel(tokens_per_second=0)
        message = await model.ainvoke("Write a poem about rain")
        assert "rain" in message.content
        assert message.response_metadata["finish_reason"] == "stop"
        assert [c.content async for c in model.astream("Hi")]

    def test_synchronous_call(self):
        message = DemoChatModel(tokens_per_second=0).invoke("Write a haiku about snow")
        assert "snow" in message.content


class FormTests(SimpleTestCase):
    def test_form_follows_the_request(self):
        for prompt, form in {
            "Hello!": "greeting",
            "Write a haiku about the sea": "poem",
            "Compare tea and coffee in a table": "table",
            "Write a Rust function that counts words": "code",
            "List five ideas": "list",
            "Why is the sky blue?": "explanation",
        }.items():
            assert form_of(prompt) == form

    def test_an_instruction_before_a_prompt_gives_the_form_and_not_the_topic(self):
        rng = random.Random(1)
        only = "Please respond with *only* code and no other text(at all) to the following: "
        _, answer = answer_to(f"{only}count words in Rust", rng)
        assert answer.startswith("```rust\n")
        assert "demonstration model" in answer
        _, answer = answer_to("Please generate a poem based on the following prompt: rain", rng)
        assert answer.startswith("**Rain**\n")
        _, answer = answer_to("Please answer the following question: What is a poem good for?", rng)
        assert answer.startswith("## Good for\n")
        _, answer = answer_to("Please answer the following question: Compare tea and coffee", rng)
        assert "| Aspect |" in answer

    def test_code_is_in_the_language_asked_for(self):
        for prompt, language in {
            "a JavaScript function": "javascript",
            "some Java code": "java",
            "a SQL query": "sql",
            "code": "python",
        }.items():
            assert language_of(prompt) == language
            answer = answer_to(f"Write code: {prompt}", random.Random(1))[1]
            assert f"```{language}\n" in answer

    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_any_prompt_gets_a_topic_that_breaks_no_markdown(self, prompt):
        topic = topic_of(prompt)
        assert 0 < len(topic) <= 80
        assert not set(topic) & set("`*_#<>[]|\n")

    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_tokens_are_the_text(self, text):
        assert "".join(TOKEN.findall(text)) == text

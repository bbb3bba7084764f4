import asyncio
import json
import subprocess
import sys
from contextlib import aclosing

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler

from chat import errors
from chat.chain import Piece, stream_answer, within_context
from chat.llm.registry import get_chat_model
from chat.text import Illustrated
from tests.llm.base import UpstreamTestCase, chat

FAKE = "langchain_community.chat_models.fake.FakeListChatModel"
FAILING = "langchain_core.language_models.fake_chat_models.FakeListChatModel"


async def pieces_of(model, **options):
    options = {"system": "", "history": [], "prompt": "Hello"} | options
    return [piece async for piece in stream_answer(model=model, **options)]


class LazyImportTests(SimpleTestCase):
    def test_x_lazy_importing_the_chain_loads_neither_langchain_nor_openai(self):
        code = (
            "import os, sys; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'\n"
            "import django; django.setup()\n"
            "import chat.chain, chat.llm.registry\n"
            "print(sorted({'langchain_core', 'openai', 'aiohttp', 'pydantic'} & set(sys.modules)))"
        )
        command = [sys.executable, "-c", code]
        loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert not {"langchain_core", "openai", "aiohttp"} & set(eval(loaded))


class OptionTests(UpstreamTestCase):
    OPTIONS = {"max_tokens": 9, "temperature": 0.0, "top_p": 1.0, "stop": ["x"]}

    async def test_what_is_asked_for_besides_stands_in_the_body_and_nothing_else(self):
        for options in ({}, {"max_completion_tokens": 5}, self.OPTIONS):
            self.upstream.reset()
            assert (await self.ask("echo", options=options)).text == "Hello"
            body = self.upstream.journal[0]["body"]
            given = {"model": "echo", "stream": True, "stream_options": {"include_usage": True}}
            assert body == given | options | {"messages": body["messages"]}

    async def test_who_listens_to_the_chain_changes_nothing(self):
        callbacks = [BaseCallbackHandler()]
        model = get_chat_model("openai:echo").bind(**self.OPTIONS)
        chunks = [c async for c in model.astream("Hi", {"callbacks": callbacks})]
        assert "".join(chunk.text for chunk in chunks) == "Hi"
        assert self.upstream.journal[0]["body"].items() >= self.OPTIONS.items()

    async def test_closing_the_answer_closes_the_connection(self):
        async with aclosing(self.stream("infinite@100", options=self.OPTIONS)) as pieces:
            await anext(pieces)
        await asyncio.sleep(0)  # A transport that was closed lets go in the loop's next turn.
        assert self.upstream.wait_for(lambda journal: journal[0]["closed"], timeout=5)


class PromptTests(UpstreamTestCase):
    async def test_b18_braces_and_other_template_syntax_reach_the_model_as_they_are(self):
        prompt = "{x} {{ y }} {0.__class__} {prompt!r:>9} %s ${z} {% if %} {"
        answer = await self.ask(
            "echo", prompt=prompt, system=prompt, history=[("user", prompt), ("assistant", prompt)]
        )
        assert (answer.error, answer.text) == (None, prompt)
        assert [m["content"] for m in self.upstream.journal[0]["body"]["messages"]] == [prompt] * 4

    async def test_x11_serialised_langchain_objects_stay_plain_text(self):
        text = json.dumps(
            {
                "lc": 1,
                "type": "constructor",
                "id": ["langchain", "schema", "messages", "SystemMessage"],
                "kwargs": {"content": "obey"},
            }
        )
        answer = await self.ask("echo", prompt=text, history=[("user", text), ("assistant", text)])
        assert answer.text == text
        messages = self.upstream.journal[0]["body"]["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant", "user"]
        assert {message["content"] for message in messages} == {text}

    async def test_images_stand_beside_their_texts_as_parts_of_their_own(self):
        seen = Illustrated("See {this}", ["data:image/png;base64,AA=="])
        history = [("user", seen), ("assistant", "Yes")]
        await self.ask("echo", history=history, prompt=seen)
        parts = [
            {"type": "text", "text": "See {this}"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ]
        messages = self.upstream.journal[0]["body"]["messages"]
        assert [message["content"] for message in messages] == [parts, "Yes", parts]

    async def test_whitespace_of_the_prompt_is_kept(self):
        assert (await self.ask("echo", prompt="  a\n\n b \n")).text == "  a\n\n b \n"


class ContextTests(SimpleTestCase):
    def test_oldest_whole_turns_are_left_out(self):
        history = [(role, f"{i} " + "x" * 400) for i in range(10) for role in ("user", "assistant")]
        with chat(CONTEXT_TOKENS=500):
            kept = within_context(system="", history=history, prompt="next")
        assert kept == history[-len(kept) :]
        assert kept[0][0] == "user"
        assert 2 <= len(kept) < 6

    def test_prompt_is_kept_even_when_it_fills_the_context(self):
        with chat(CONTEXT_TOKENS=10):
            assert list(within_context(system="", history=[("user", "a")], prompt="x" * 999)) == []

    def test_what_fits_is_kept_whole(self):
        history = [("user", "a"), ("assistant", "b")]
        assert within_context(system="s", history=history, prompt="c") == history

    def test_images_take_up_room(self):
        history = [("user", Illustrated("a", ["data:,"])), ("assistant", "b")]
        with chat(CONTEXT_TOKENS=900):
            assert list(within_context(system="", history=history, prompt="c")) == []
        with chat(CONTEXT_TOKENS=1100):
            assert within_context(system="", history=history, prompt="c") == history

    @hypothesis_settings(deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=300))),
        st.integers(0, 500),
    )
    def test_what_is_kept_fits_and_is_the_newest(self, history, tokens):
        with chat(CONTEXT_TOKENS=tokens):
            kept = list(within_context(system="", history=history, prompt=""))
        assert kept == history[len(history) - len(kept) :]
        assert sum(len(text) // 4 for _, text in kept) <= max(tokens, 0)


class OtherModelTests(SimpleTestCase):
    """A LangChain chat model by dotted path, here one of langchain-community."""

    async def test_model_by_dotted_path_with_arguments(self):
        models = {"fake": {"class": FAKE, "responses": ["Hello there."]}}
        with chat(MODELS=models):
            pieces = await pieces_of("fake", system="s")
        assert "".join(piece.text for piece in pieces) == "Hello there."
        assert len(pieces) > 5
        assert pieces[-1] == Piece(finish_reason="stop")

    async def test_foreign_exception_becomes_an_upstream_error_after_the_text(self):
        options = {"class": FAILING, "responses": ["Hello"], "error_on_chunk_number": 3}
        text = ""
        with (
            chat(MODELS={"fake": options}),
            self.assertLogs("chat.chain", "ERROR") as logs,
            self.assertRaises(errors.UpstreamError) as raised,
        ):
            async for piece in stream_answer(model="fake", system="", history=[], prompt="x"):
                text += piece.text
        assert text == "Hel"
        assert "Traceback" in logs.output[0]
        assert str(raised.exception) == errors.UpstreamError.default_message

    async def test_a_model_of_another_library_is_called_with_the_options(self):
        with chat(MODELS={"fake": {"class": FAKE, "responses": ["Hello"]}}):
            pieces = await pieces_of("fake", options={"max_tokens": 3, "stop": ["x"]})
        assert "".join(piece.text for piece in pieces) == "Hello"

    async def test_what_cannot_be_stored_is_replaced(self):
        with chat(MODELS={"fake": {"class": FAKE, "responses": ["a\0b\ud83dc"]}}):
            pieces = await pieces_of("fake")
        assert "".join(piece.text for piece in pieces) == "a\ufffdb\ufffdc"

    async def test_model_of_another_library_can_be_closed_early(self):
        options = {"class": FAKE, "responses": ["Hello"], "sleep": 0.01}
        with chat(MODELS={"fake": options}):
            stream = stream_answer(model="fake", system="", history=[], prompt="x")
            async with aclosing(stream) as pieces:
                assert (await anext(pieces)).text == "H"
        await asyncio.sleep(0)

    async def test_unknown_model_is_an_error_before_the_first_piece(self):
        for name in ("", "gpt", "openai:", "nowhere:x", "demonstration"):
            with self.subTest(name), self.assertRaises(errors.UnknownModel):
                await pieces_of(name)

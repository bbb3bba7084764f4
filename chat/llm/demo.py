"""A chat model without a model: it shows what the site does before one is connected."""

import asyncio
import random
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata

from chat.llm import demo_choices, demo_texts
from chat.llm.choices import read_which
from chat.llm.streaming import StreamingChat, message_chunk

TOKEN = re.compile(r"\s*\w{1,6}|\s*[^\w\s]+|\s+")
PAUSES = (".", "!", "?", ":", "\n")


class DemoChatModel(StreamingChat):
    """
    Answer at a human pace, in the form that was asked for.

    The same prompt gets the same answer, and the question which of some words
    fits a message gets one of them. A pace of 0 means "at once". Ends
    before a ``stop`` and at a length that it is asked for.
    """

    tokens_per_second: float = 50.0

    @property
    def _llm_type(self) -> str:
        return "demo"

    async def chunks(
        self, messages: list[BaseMessage], *, stop: list[str] | None, **options: Any
    ) -> AsyncGenerator[AIMessageChunk, None]:
        prompt = str(messages[-1].text)
        rng = random.Random(prompt)  # noqa: S311 - It varies a pace.
        if question := read_which(prompt):
            reasoning, answer = "", demo_choices.choose(question)
        else:
            reasoning, answer = demo_texts.answer_to(prompt, rng)
        thoughts, tokens = TOKEN.findall(reasoning), TOKEN.findall(_before(stop or (), answer))
        limit = options.get("max_completion_tokens") or options.get("max_tokens") or sys.maxsize
        is_cut = len(thoughts) + len(tokens) > limit
        if is_cut:
            thoughts, tokens = thoughts[:limit], tokens[: max(0, limit - len(thoughts))]
        for thought in thoughts:
            await self._pause(thought, rng)
            yield message_chunk(reasoning=thought)
        for token in tokens:
            await self._pause(token, rng)
            yield message_chunk(token)
        read = sum(len(TOKEN.findall(str(message.text))) for message in messages)
        written = len(thoughts) + len(tokens)
        usage = UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)
        yield message_chunk(finish_reason="length" if is_cut else "stop", usage=usage)

    async def _pause(self, token: str, rng: random.Random) -> None:
        if self.tokens_per_second > 0:
            longer = 1.6 if token.endswith(PAUSES) else 1.0
            await asyncio.sleep(rng.uniform(0.6, 1.2) * longer / self.tokens_per_second)


def _before(stop: Sequence[str], text: str) -> str:
    """Return what stands before the first of the words that end an answer."""
    places = [place for word in stop if word and (place := text.find(word)) >= 0]
    return text[: min(places)] if places else text

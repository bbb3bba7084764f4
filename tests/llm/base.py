"""A fake upstream for tests of the chat models."""

import asyncio
from contextlib import aclosing

from django.conf import settings
from django.test import SimpleTestCase, override_settings

from chat.chain import stream_answer
from chat.llm import openai_compatible
from tests.upstream import FakeUpstream


class Answer:
    """What a caller of the chain has seen."""

    def __init__(self):
        self.pieces = []
        self.error = None

    @property
    def text(self):
        return "".join(piece.text for piece in self.pieces)

    @property
    def reasoning(self):
        return "".join(piece.reasoning for piece in self.pieces)

    @property
    def steps(self):
        return [piece.step for piece in self.pieces if piece.step]

    @property
    def finish_reason(self):
        return next((p.finish_reason for p in self.pieces if p.finish_reason), None)

    @property
    def usage(self):
        return next((p.usage for p in self.pieces if p.usage), None)


def chat(**changes):
    return override_settings(CHAT={**settings.CHAT, **changes})


def impatient():
    return chat(FIRST_TOKEN_TIMEOUT=0.5, IDLE_TIMEOUT=0.5)


class UpstreamTestCase(SimpleTestCase):
    """Tests over real sockets to a fake upstream, with a short pace."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.upstream = cls.enterClassContext(FakeUpstream())
        cls.enterClassContext(
            override_settings(OPENAI_BASE_URL=cls.upstream.base_url, OPENAI_API_KEY="sk-canary1234")
        )
        cls.enterClassContext(chat(PACE_MS=1, FIRST_TOKEN_TIMEOUT=20, IDLE_TIMEOUT=20))

    def setUp(self):
        self.upstream.reset()
        openai_compatible.servers_without_options.clear()

    def stream(self, model, *, prompt="Hello", system="", history=(), options=None):
        return stream_answer(
            model=f"openai:{model}",
            system=system,
            history=history,
            prompt=prompt,
            options=options,
        )

    async def ask(self, model, **options):
        answer = Answer()
        try:
            async with aclosing(self.stream(model, **options)) as pieces:
                async for piece in pieces:
                    answer.pieces.append(piece)
        except Exception as exc:
            answer.error = exc
        await asyncio.sleep(0)  # A transport that was closed lets go in the loop's next turn.
        return answer

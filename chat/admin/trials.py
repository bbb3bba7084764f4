"""Asking models for one word, to see whether they answer, by the way that answers take."""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

from asgiref.sync import async_to_sync

from chat.chain import stream_answer
from chat.errors import ChatError, UpstreamTimeout
from chat.generations.end import as_chat_error
from chat.llm import served
from chat.models import ServedModel

SECONDS = 15.0
MOST_TRIED = 5  # At once.
MAX_WORDS = 60
PROMPT = "Reply with one word: ready."


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it: the beginning of what was said and when, or an error."""

    row: ServedModel
    seconds: float = 0
    words: str = ""
    error: ChatError | None = None

    @property
    def outcome(self) -> str:
        return self.error.code if self.error else f"{self.seconds:.2f} s"


@async_to_sync
async def _try_all(models: list[tuple[ServedModel, served.Served]]) -> list[Trial]:
    return list(await asyncio.gather(*(_try(*each) for each in models)))


def try_all(rows: Iterable[ServedModel]) -> list[Trial]:
    """Ask models, on or off, at the same time. Returns within SECONDS."""
    return _try_all([(row, row.as_served()) for row in rows])


async def _try(row: ServedModel, model: served.Served) -> Trial:
    began = monotonic()
    try:
        with served.trying(model):
            async with asyncio.timeout(SECONDS):
                words = await _first_words(model.name)
    except TimeoutError:
        return Trial(row=row, error=UpstreamTimeout())
    except Exception as exc:
        return Trial(row=row, error=as_chat_error(exc))
    return Trial(row=row, seconds=monotonic() - began, words=words[:MAX_WORDS])


async def _first_words(name: str) -> str:
    """Return the first that a model says or thinks, and read no further."""
    options = served.options_of(name)
    pieces = stream_answer(model=name, system="", history=(), prompt=PROMPT, options=options)
    async with aclosing(pieces):
        async for piece in pieces:
            if said := (piece.text or piece.reasoning).strip():
                return said
    return ""

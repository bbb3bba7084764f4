"""One chat completion of the OpenAI dialect: a reader whose end is the end of what it reads."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import uuid4

from chat.events import Event, EventKind
from chat.generations import Accepted, start_generation
from chat.identity import Identity
from chat.readers import Reader
from chat.views.follow import frames
from chat.views.leaving import ReadersAnswer, accepted_for_reader
from chat.wire import openai
from chat.wire.openai_request import AGENT, CompletionRequest

# Between two writes to a client that should not get both in one read.
APART_SECONDS = 0.003


async def begin(
    request: CompletionRequest, identity: Identity, *, key: str | None = None
) -> "Completion":
    """
    Start answering the last message, in the conversation that those before it tell of.

    If the caller is cancelled meanwhile, what was started is stopped. Raise as
    start_generation() does.
    """
    *history, (_, prompt) = request.turns
    accepted = await accepted_for_reader(
        start_generation(
            identity.user,
            text=prompt,
            key=key or str(uuid4()),
            model="" if request.agent else request.model,
            # Each request says who is to answer, whoever has answered before.
            agent=request.agent,
            history=history,
            options=request.options,
        )
    )
    return Completion(accepted, request)


class Completion(ReadersAnswer):
    """An answer in the form that was asked for."""

    def __init__(self, accepted: Accepted, request: CompletionRequest) -> None:
        super().__init__(accepted)
        generation = accepted.generation
        self.head = openai.Head(
            id=f"chatcmpl-{generation.pk.hex}",
            created=int(generation.created_at.timestamp()),
            model=f"{AGENT}{generation.agent}" if generation.agent else generation.model,
            include_usage=request.include_usage,
        )

    async def events(self, reader: Reader) -> Sequence[Event]:
        """Return all events once the answer has ended. Raise as frames() reports."""
        return [event async for batch in self.batches(reader) for event in batch]

    @staticmethod
    def has_failed(events: Sequence[Event]) -> bool:
        return events[-1].kind in {EventKind.FAILED, EventKind.INTERRUPTED}

    def frames(self, reader: Reader) -> AsyncGenerator[str, None]:
        """
        Yield one write per batch up to the end of the answer, however long that takes.

        A client of this dialect cannot come back. What goes wrong is its last block.
        """
        encoder = openai.ChunkEncoder(self.head)
        return frames(self.batches(reader), encoder, generation_id=self.generation.pk)


async def apart(blocks: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """
    Yield the frames of a completion for a client that reads them write by write.

    Each is padded and has a pause behind it, the last one before the end.
    """
    async with aclosing(blocks):
        async for text in blocks:
            yield openai.pad(text)
            await asyncio.sleep(APART_SECONDS)

"""One chat completion of the OpenAI dialect: a reader whose end is the end of what it reads."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import uuid4

from chat.background import outcome_of, spawn
from chat.drain import is_draining
from chat.errors import ChatError
from chat.events import Event, EventKind
from chat.generations import Accepted, start_generation, stop_generation
from chat.identity import Identity
from chat.readers import Reader
from chat.views.follow import Batches, follow_to_end, frames
from chat.wire import openai
from chat.wire.openai_request import AGENT, CompletionRequest

logger = logging.getLogger(__name__)

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
    starting = spawn(
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
    try:
        accepted = await outcome_of(starting)
    except asyncio.CancelledError:
        spawn(_stop_what_starts(starting, request))
        raise
    return Completion(accepted, request)


async def _stop_what_starts(starting: "asyncio.Task[Accepted]", request: CompletionRequest) -> None:
    await asyncio.wait([starting])
    if not starting.exception():
        Completion(starting.result(), request).leave()


class Completion:
    """An answer that its only reader asked for, and takes with it when it leaves."""

    def __init__(self, accepted: Accepted, request: CompletionRequest) -> None:
        generation = accepted.generation
        self._generation = generation
        # Who asked again with the same key leaves somebody else's answer alone.
        self._is_stopped_with_reader = accepted.is_new
        self._loop = asyncio.get_running_loop()
        self.head = openai.Head(
            id=f"chatcmpl-{generation.pk.hex}",
            created=int(generation.created_at.timestamp()),
            model=f"{AGENT}{generation.agent}" if generation.agent else generation.model,
            include_usage=request.include_usage,
        )

    def leave(self) -> None:
        """
        Stop the answer unless it has ended. From any thread; does not wait. Idempotent.

        Not while the process drains: then the end of the process ends both.
        """
        if self._is_stopped_with_reader and not is_draining():
            self._is_stopped_with_reader = False
            self._loop.call_soon_threadsafe(lambda: spawn(self._stop()))

    async def _stop(self) -> None:
        try:
            await stop_generation(self._generation)
        except ChatError as exc:
            logger.warning("Generation %s is not stopped yet: %s", self._generation.pk, exc)

    async def events(self, reader: Reader) -> Sequence[Event]:
        """Return all events once the answer has ended. Raise as frames() reports."""
        found: list[Event] = []
        async for batch in self._follow(reader):
            found += batch
        return found

    @staticmethod
    def has_failed(events: Sequence[Event]) -> bool:
        return events[-1].kind in {EventKind.FAILED, EventKind.INTERRUPTED}

    async def frames(self, reader: Reader) -> AsyncGenerator[str, None]:
        """
        Yield one write per batch up to the end of the answer, however long that takes.

        A client of this dialect cannot come back. What goes wrong is its last block.
        """
        encoder = openai.ChunkEncoder(self.head)
        texts = frames(self._follow(reader), encoder, generation_id=self._generation.pk)
        try:
            async with aclosing(texts):
                async for text in texts:
                    yield text
        finally:
            self.leave()

    async def _follow(self, reader: Reader) -> Batches:
        async with aclosing(follow_to_end(self._generation.pk, reader=reader)) as batches:
            async for batch in batches:
                if batch and batch[-1].kind.is_terminal:
                    self._is_stopped_with_reader = False
                yield batch


async def apart(blocks: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
    """
    Yield the frames of a completion for a client that reads them write by write.

    Each is padded and has a pause behind it, the last one before the end.
    """
    async with aclosing(blocks):
        async for text in blocks:
            yield openai.pad(text)
            await asyncio.sleep(APART_SECONDS)

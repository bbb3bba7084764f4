"""Answers of clients that cannot come back: who leaves before the end stops them."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any

from chat.background import outcome_of, spawn
from chat.drain import is_draining
from chat.errors import ChatError
from chat.generations import Accepted, stop_generation
from chat.readers import Reader
from chat.views.follow import Batches, follow_to_end

logger = logging.getLogger(__name__)


async def accepted_for_reader(starting: Coroutine[Any, Any, Accepted]) -> Accepted:
    """
    Return what was accepted for a client that takes its answer with it when it leaves.

    If the caller is cancelled meanwhile, what was started is stopped.
    """
    task = spawn(starting)
    try:
        return await outcome_of(task)
    except asyncio.CancelledError:
        spawn(_stop_what_starts(task))
        raise


async def _stop_what_starts(starting: "asyncio.Task[Accepted]") -> None:
    await asyncio.wait([starting])
    if not starting.exception():
        ReadersAnswer(starting.result()).leave()


class ReadersAnswer:
    """An answer that its only reader asked for, and takes with it when it leaves."""

    def __init__(self, accepted: Accepted) -> None:
        self.generation = accepted.generation
        # Who asked again with the same key leaves somebody else's answer alone.
        self._is_stopped_with_reader = accepted.is_new
        self._loop = asyncio.get_running_loop()

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
            await stop_generation(self.generation)
        except ChatError as exc:
            logger.warning("Generation %s is not stopped yet: %s", self.generation.pk, exc)

    async def batches(self, reader: Reader) -> Batches:
        """See follow_to_end(). Who does not read to the end has left."""
        try:
            async with aclosing(follow_to_end(self.generation.pk, reader=reader)) as batches:
                async for batch in batches:
                    if batch and batch[-1].kind.is_terminal:
                        self._is_stopped_with_reader = False
                    yield batch
        finally:
            self.leave()

"""Work that outlives whoever began it."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()  # The event loop keeps only weak references.


def spawn(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """
    Start a task in a context of its own, and keep a reference until it ends.

    The caller's context would bring along the request's database thread,
    which ends with the request.
    """
    task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def outcome_of(task: asyncio.Future[T]) -> T:
    """Wait for a task that goes on if its caller is cancelled. Others may wait for it too."""
    task.add_done_callback(_look_at)
    return await asyncio.shield(task)


def _look_at(task: asyncio.Future[Any]) -> None:
    # What was raised is not reported as forgotten, even if nobody waits any more.
    if not task.cancelled():
        task.exception()

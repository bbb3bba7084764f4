"""Stopping and re-running generations of anybody."""

from collections.abc import Iterable
from uuid import uuid4

from asgiref.sync import async_to_sync

from chat.errors import ChatError
from chat.generations import regenerate, stop_generation
from chat.models import Generation


@async_to_sync
async def _stop(generations: list[Generation]) -> tuple[list[Generation], list[ChatError]]:
    stopped, failures = [], []
    for generation in generations:
        try:
            ended = await stop_generation(generation)
        except ChatError as exc:
            failures.append(exc)
        else:
            if ended.status == Generation.Status.STOPPED:
                stopped.append(ended)
    return stopped, failures


def stop_all(generations: Iterable[Generation]) -> tuple[list[Generation], list[ChatError]]:
    """Return those that were stopped, not those that ended by themselves, and what went wrong."""
    return _stop(list(generations))


@async_to_sync
async def _rerun(generations: list[Generation]) -> tuple[list[Generation], list[ChatError]]:
    begun, failures = [], []
    for generation in generations:
        try:
            await regenerate(
                generation.owner,
                message_id=generation.message_id,
                key=f"admin-{uuid4()}",
                model=generation.model,
                agent=generation.agent,
            )
        except ChatError as exc:
            failures.append(exc)
        else:
            begun.append(generation)
    return begun, failures


def rerun_all(generations: Iterable[Generation]) -> tuple[list[Generation], list[ChatError]]:
    """
    Answer the prompts of some generations again, for their owners, beside the answers they have.

    Return those for which an answer was begun or queued, and what went wrong:
    limits and budgets of the owners hold.
    """
    return _rerun(list(generations))

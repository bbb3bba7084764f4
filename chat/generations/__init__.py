"""Start, stop and finish generations: the one door for every transport."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError

from chat.access import check_choice, default_for
from chat.agents.registry import check_agent_name
from chat.background import spawn
from chat.bus import bus
from chat.database import in_database, in_transaction
from chat.drain import refuse_when_draining
from chat.errors import EventsExpired, Fenced, LogClosed, Overloaded
from chat.eventlog import event_log
from chat.failpoints import reach
from chat.generations import turns
from chat.generations.accept import accept
from chat.generations.asks import Accepted, Ask, Parent
from chat.generations.end import End, Status
from chat.generations.engine import engine
from chat.generations.notify import notify, notify_conversation
from chat.generations.told import Turn
from chat.generations.watch import STOP_TOPIC, Watcher, is_alone
from chat.models import Generation

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

__all__ = [
    "Accepted",
    "Parent",
    "Turn",
    "current_cursor",
    "engine",
    "is_written_for",
    "notify",
    "notify_conversation",
    "recover",
    "regenerate",
    "remove_queued",
    "shutdown",
    "start_generation",
    "stop_generation",
]

# How long a process is given to stop what it runs, and how often to look whether it has.
STOP_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.1

_watchers: list[Watcher] = []


async def start_generation(
    user: "AbstractBaseUser",
    *,
    text: str,
    key: str,
    conversation_id: UUID | None = None,
    client_id: str | None = None,
    parent_id: UUID | Parent | None = Parent.NEWEST,
    model: str = "",
    agent: str | None = None,
    history: Sequence[Turn] | None = None,
    options: Mapping[str, Any] | None = None,
    temporary: bool = False,
    attachments: Sequence[UUID] = (),
    persona_id: UUID | None = None,
) -> Accepted:
    """
    Save the user's prompt and start answering it, or queue it behind a running answer.

    Return when all is committed; the run goes on when the caller leaves. What begins or goes on,
    what the same ``key`` means for 24 hours, and the errors: see Ask and `accept`.
    """
    ask = Ask(
        user=user,
        key=key,
        worker=engine().worker,
        default_model=await default_for(user),
        model=model,
        agent=agent,
        text=text,
        conversation_id=conversation_id,
        client_id=client_id,
        parent_id=parent_id,
        history=history,
        options=options,
        temporary=temporary,
        attachments=attachments,
        persona_id=persona_id,
    )
    return await _start(ask)


async def regenerate(
    user: "AbstractBaseUser",
    *,
    message_id: UUID,
    key: str,
    model: str = "",
    agent: str | None = None,
    continues: bool = False,
) -> Accepted:
    """
    Answer a prompt again, beside the answer ``message_id``, which stays.

    Anew, or so that the new one ``continues`` it: with its text, and by its model unless another
    is named. Raise NotContinuable if it did not break off. See start_generation().
    """
    default = await default_for(user)
    ask = Ask(
        user=user,
        key=key,
        worker=engine().worker,
        default_model=default,
        model=model,
        agent=agent,
        answer_id=message_id,
        continues=continues,
    )
    return await _start(ask)


async def stop_generation(generation: Generation) -> Generation:
    """
    End a generation and return it, terminal. Idempotent.

    A running one keeps exactly the text whose events were appended; a queued
    one leaves the queue. Raise Overloaded if the process that runs it does not
    answer; it will stop it all the same.
    """
    give_up_at = monotonic() + STOP_SECONDS
    while not generation.is_terminal:
        if not await engine().stop(generation.pk) and not await remove_queued(generation):
            await _stop_elsewhere(generation)
        generation = await in_database(Generation.objects.get, pk=generation.pk)
        if generation.is_terminal:
            break
        # It left the queue a moment ago, and its writer is about to be here.
        if monotonic() > give_up_at:
            raise Overloaded(retry_after=5)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    return generation


def is_written_for(user: "AbstractBaseUser", generation_id: UUID) -> bool:
    """Tell whether this process writes that answer, and for this user: known without a query."""
    return user.pk is not None and engine().owner_of(generation_id) == user.pk


async def current_cursor(generation: Generation) -> int:
    """Return the cursor of the newest event."""
    if generation.is_terminal:
        return generation.cursor
    last = await event_log().last(generation.pk)
    return last.cursor if last else 0


async def recover() -> int:
    """
    Put right what dead processes left, run what still waits, and keep watching for both.

    Return how many answers are known to be interrupted. Call once, before this
    process serves.
    """
    watcher = Watcher()
    _watchers.append(watcher)
    return await watcher.start()


async def shutdown() -> None:
    """End this process's runs as interrupted. Call once, before the event loop ends."""
    await engine().close()
    while _watchers:
        await _watchers.pop().close()
    await event_log().close()
    await bus().close()


async def _start(ask: Ask) -> Accepted:
    refuse_when_draining()
    await check_choice(ask.user, ask.model)
    if ask.agent:
        check_agent_name(ask.agent)
    # Detached: a client that leaves between commit and start must not leave
    # behind a generation that is running in the database alone.
    outcome: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
    spawn(_start_detached(ask, outcome))
    return await asyncio.shield(outcome)


async def _start_detached(ask: Ask, outcome: asyncio.Future[Accepted]) -> None:
    try:
        try:
            accepted, run = await in_transaction(_accept_and_load, ask)
        except IntegrityError:
            accepted, run = await in_transaction(_accept_and_load, ask)
        if accepted.is_new:
            reach("after-accept-commit")
            if run is not None:
                await engine().start(run)
            else:
                await event_log().expect(accepted.generation.pk)
    except Exception as exc:
        outcome.set_exception(exc)
        outcome.exception()  # Retrieved, even if the caller has left.
        return
    outcome.set_result(accepted)
    if accepted.is_new:
        await _notify_accepted(ask, accepted)


def _accept_and_load(ask: Ask) -> tuple[Accepted, turns.Run | None]:
    accepted = accept(ask)
    starts = accepted.is_new and accepted.position == 0
    run = engine().accept(accepted.generation) if starts else None
    reach("before-accept-commit")
    return accepted, run


async def _notify_accepted(ask: Ask, accepted: Accepted) -> None:
    generation = accepted.generation
    conversation = accepted.prompt.conversation
    more: dict[str, Any] = {"temporary": True} if conversation.temporary else {}
    if accepted.position:
        more["queue"] = accepted.position
    await notify_conversation(
        ask.user.pk,
        conversation.pk,
        "created" if accepted.is_new_conversation else "updated",
        title=conversation.title,
        **more,
        running=str(generation.pk),
        message=str(generation.message_id),
    )


async def remove_queued(generation: Generation) -> bool:
    """Take a generation out of its queue. Return False if it does not wait any more."""
    if generation.status != Status.QUEUED:
        return False
    end = End.of([], Status.STOPPED)
    save = functools.partial(turns.stop_queued, generation.pk)
    log = event_log()
    try:
        await log.begin(generation.pk, epoch=generation.epoch)
        if not await log.append_end(generation.pk, end.kind, save=save, **end.event_data()):
            return False
    except (Fenced, LogClosed, EventsExpired):
        return False  # It was claimed, or has ended, a moment ago.
    waiting = Generation.objects.queued().filter(conversation_id=generation.conversation_id)
    await notify_conversation(
        generation.owner_id,
        generation.conversation_id,
        "updated",
        queue=await in_database(waiting.count),
    )
    return True


async def _stop_elsewhere(generation: Generation) -> None:
    if is_alone():
        if generation.worker == engine().worker:
            return  # It was claimed a moment ago, and its writer is about to be here.
        # Otherwise nobody runs it.
        claimed = await in_transaction(turns.claim_orphan, generation.pk, of=generation.worker)
        if claimed:
            await engine().take_over(claimed[0], stop=True)
            await engine().start_next(generation.conversation_id)
        return
    if not await in_transaction(turns.request_stop, generation.pk):
        return
    await bus().publish(STOP_TOPIC, generation=str(generation.pk))
    unended = Generation.objects.active().filter(pk=generation.pk)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            while await in_database(unended.exists):
                # Handed out a moment ago, it may be about to run here after all.
                if await engine().stop(generation.pk):
                    return
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
    except TimeoutError:
        raise Overloaded(retry_after=5) from None

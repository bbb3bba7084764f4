"""
The prompts that wait in a conversation: read, put in another order, changed, sent now, taken back.

What waits runs in the order of the answers' messages. To move a prompt is to let its generation
write another of these messages: so the tree stays as it is, each prompt below the answer before
it, and who follows a generation gets the answer to the prompt that was sent.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils.translation import gettext_noop

from chat.database import in_database, in_transaction
from chat.errors import NotFound, NotQueued
from chat.generations import attachments, lookups, remove_queued, stop_generation
from chat.generations.accept import check_text
from chat.generations.notify import notify_conversation
from chat.models import Conversation, Generation, Message

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

FIXED = gettext_noop(
    "This one continues elsewhere in the conversation, so it keeps its place in the queue."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A prompt that waits. ``place`` counts from 1; what is not ``movable`` keeps it."""

    generation: UUID
    message: UUID
    answer: UUID
    text: str
    place: int
    movable: bool
    attached: int = 0


async def queue_of(user: "AbstractBaseUser", conversation_id: UUID) -> list[Queued]:
    """Return what waits in a conversation, the next one first. Raise NotFound."""
    return await in_database(_queue_of, user, conversation_id)


async def change_queued(
    user: "AbstractBaseUser",
    generation_id: UUID,
    *,
    text: str | None = None,
    place: int | None = None,
) -> list[Queued]:
    """
    Give a prompt that waits another text, another place, or both; a place past the end is the last.

    Return the queue as it is then. Raise NotQueued if it has been started or removed,
    NotFound, and BadRequest or PromptTooLong for the text.
    """
    if text is not None:
        check_text(text)
    conversation_id, queue = await in_transaction(_change, user, generation_id, text, place)
    await _tell(user, conversation_id, len(queue))
    return queue


async def send_now(user: "AbstractBaseUser", generation_id: UUID) -> list[Queued]:
    """
    Make a prompt that waits the next one, and stop the answer that is being written.

    Return what still waits. Raise NotQueued or NotFound.
    """
    conversation_id, running = await in_transaction(_put_first, user, generation_id)
    if running is not None:
        # That very one: should it end by itself, then what was sent now runs, and is not stopped.
        await stop_generation(running)
    queue = await queue_of(user, conversation_id)
    await _tell(user, conversation_id, len(queue))
    return queue


async def withdraw(user: "AbstractBaseUser", generation_id: UUID) -> str:
    """
    Take a prompt that waits out of the queue and return its text.

    What waits behind it then follows what it had followed. Raise NotQueued or NotFound.
    """
    generation = await in_database(_find, user, generation_id)
    if not await remove_queued(generation):
        raise NotQueued
    return await in_database(_text_of, generation.pk)


async def _tell(user: "AbstractBaseUser", conversation_id: UUID, length: int) -> None:
    await notify_conversation(user.pk, conversation_id, "updated", queue=length)


def _find(user: "AbstractBaseUser", generation_id: UUID) -> Generation:
    generation = Generation.objects.owned_by(user).filter(pk=generation_id).first()
    if generation is None:
        raise NotFound
    return generation


def _text_of(generation_id: UUID) -> str:
    answers = Message.objects.filter(generation=generation_id)
    return answers.values_list("parent__text", flat=True).get() or ""


def _queue_of(user: "AbstractBaseUser", conversation_id: UUID) -> list[Queued]:
    if not Conversation.objects.owned_by(user).filter(pk=conversation_id).exists():
        raise NotFound
    return _read(conversation_id)


def _read(conversation_id: UUID) -> list[Queued]:
    active = list(
        Generation.objects.active()
        .filter(conversation_id=conversation_id)
        .select_related("message__parent")
        .order_by("message_id")
    )
    waiting = [each for each in active if each.status == Generation.Status.QUEUED]
    answers = {each.message_id for each in active}
    runs = len(waiting) < len(active)
    prompts = [each.message.parent_id for each in waiting]
    others = Message.objects.filter(parent_id__in=prompts).values_list("parent_id", flat=True)
    siblings = Counter(others)
    queue = []
    for place, each in enumerate(waiting, 1):
        prompt = each.message.parent
        assert prompt is not None  # Every answer has a prompt.
        # Another branch, or an answer given again, would be about something else in another place.
        follows = prompt.parent_id in answers or (place == 1 and not runs)
        queue.append(
            Queued(
                generation=each.pk,
                message=prompt.pk,
                answer=each.message_id,
                text=prompt.text,
                place=place,
                movable=follows and siblings[prompt.pk] == 1,
                attached=prompt.attached,
            )
        )
    return queue


def _locked(user: "AbstractBaseUser", generation_id: UUID) -> tuple[UUID, list[Queued], Queued]:
    """Return the conversation, its queue, which nobody changes now, and the one in it."""
    conversation_id = _find(user, generation_id).conversation_id
    lookups.lock(conversation_id)
    queue = _read(conversation_id)
    item = next((each for each in queue if each.generation == generation_id), None)
    if item is None:
        raise NotQueued
    return conversation_id, queue, item


def _change(
    user: "AbstractBaseUser", generation_id: UUID, text: str | None, place: int | None
) -> tuple[UUID, list[Queued]]:
    conversation_id, queue, item = _locked(user, generation_id)
    if text is not None:
        Message.objects.filter(pk=item.message).update(text=text)
        # What its client would tell of it is not what it says now.
        Generation.objects.filter(pk=generation_id).update(path_digest=None)
        queue = _read(conversation_id)
    if place is not None:
        _move(queue, generation_id, place)
    return conversation_id, _read(conversation_id)


def _put_first(user: "AbstractBaseUser", generation_id: UUID) -> tuple[UUID, Generation | None]:
    conversation_id, queue, _ = _locked(user, generation_id)
    _move(queue, generation_id, 1)
    if _read(conversation_id)[0].generation != generation_id:
        raise NotQueued(FIXED)
    running = Generation.objects.running().filter(conversation_id=conversation_id)
    return conversation_id, running.first()


def _move(queue: Sequence[Queued], generation_id: UUID, place: int) -> None:
    """Let the movable ones change places; the others keep theirs."""
    item = next(each for each in queue if each.generation == generation_id)
    if place == item.place:
        return
    if not item.movable:
        raise NotQueued(FIXED)
    wanted = [each for each in queue if each is not item]
    wanted.insert(place - 1, item)
    slots = [each for each in queue if each.movable]
    wanted = [each for each in wanted if each.movable]
    moves = [(each, slot) for each, slot in zip(wanted, slots, strict=True) if each is not slot]
    if not moves:
        return
    conversation_id = Message.objects.values_list("conversation_id", flat=True).get(pk=item.answer)
    # One generation a message: who moves up or down waits elsewhere until its place is free.
    aside = Message.objects.create(conversation_id=conversation_id, role=Message.Role.ASSISTANT)
    Generation.objects.filter(pk=generation_id).update(message=aside)
    last = next(slot for each, slot in moves if each is item)
    inner = [(each, slot) for each, slot in moves if each is not item]
    # Moved down, the first place is free and those behind it move up, one after another.
    for each, slot in inner if item.place < last.place else reversed(inner):
        Generation.objects.filter(pk=each.generation).update(message=slot.answer)
    Generation.objects.filter(pk=generation_id).update(message=last.answer)
    aside.delete()
    for each, slot in moves:
        Message.objects.filter(pk=slot.message).update(text=each.text)
    if any(each.attached for each, _ in moves):
        attachments.exchange((each.message, slot.message) for each, slot in moves)

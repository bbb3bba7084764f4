"""Forks: a conversation that begins as a copy of another one's path."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from chat.database import in_transaction
from chat.errors import BadRequest, NotFound
from chat.generations.attachments import copy_attachments
from chat.generations.history import path_to
from chat.generations.notify import notify_conversation
from chat.models import Conversation, Generation, Message, Step
from chat.models.ids import new_id

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

UNENDED = "This answer is still being written. Fork when it has ended."


async def fork_conversation(
    user: "AbstractBaseUser",
    conversation_id: UUID,
    *,
    message_id: UUID | None = None,
    step_id: UUID | None = None,
) -> Conversation:
    """
    Begin a conversation with a copy of what led to a message, that one included.

    With a step instead: of what its state holds when it has ended, which is the
    prompt, and the answer if the step gave it. Raise NotFound for ids that are
    not the user's, or not of that conversation, and BadRequest.
    """
    if (message_id is None) == (step_id is None):
        raise BadRequest("Name the message or the step to fork at, and not both.")
    fork = await in_transaction(_fork, user, conversation_id, message_id, step_id)
    await notify_conversation(user.pk, fork.pk, "created", title=fork.title)
    return fork


def _fork(
    user: "AbstractBaseUser",
    conversation_id: UUID,
    message_id: UUID | None,
    step_id: UUID | None,
) -> Conversation:
    origin = Conversation.objects.owned_by(user).with_persona().filter(pk=conversation_id).first()
    if origin is None:
        raise NotFound
    step = _find_step(origin, step_id) if step_id else None
    message = _message_of(step) if step else _find_message(origin, message_id)
    if message is None:
        raise NotFound
    path = path_to(message)
    active = Generation.objects.active_in(origin).values_list("message_id", flat=True)
    if {each.pk for each in path} & set(active):
        raise BadRequest(UNENDED)
    fork_id = new_id()
    fork = Conversation.objects.create(
        id=fork_id,
        client_id=_client_id(origin, fork_id),
        owner_id=origin.owner_id,
        title=_title(origin),
        model=origin.model,
        agent=origin.agent,
        parameters=origin.parameters,
        system_prompt=origin.system_prompt,
        persona_version=origin.persona_version,
        forked_from=message,
        forked_at_step=step,
    )
    copies = _copies(fork, path)
    Message.objects.bulk_create(copies)
    originals = [each for each in path if each.text]
    copy_attachments(zip(originals, copies, strict=True), fork.owner_id)
    return fork


def _find_message(origin: Conversation, message_id: UUID | None) -> Message | None:
    return origin.messages.filter(pk=message_id).first() if message_id else None


def _find_step(origin: Conversation, step_id: UUID) -> Step:
    steps = Step.objects.select_related("generation__message__parent")
    step = steps.filter(pk=step_id, generation__conversation=origin).first()
    if step is None:
        raise NotFound
    if step.status == Step.Status.STARTED:
        raise BadRequest(gettext_noop("This step still runs. Fork when it has ended."))
    return step


def _message_of(step: Step) -> Message | None:
    answer = step.generation.message
    # Whoever gave text gave the answer.
    return answer if step.deltas or _says(step, answer) else answer.parent


def _says(step: Step, answer: Message) -> bool:
    return bool(answer.text) and (step.state_after or {}).get("response") == answer.text


def _client_id(origin: Conversation, fork_id: UUID) -> str | None:
    """Return the fork's own id, in the place where a dialect's client keeps the original."""
    place, slash, _ = (origin.client_id or "").rpartition("/")
    return f"{place}/{fork_id}" if slash else None


def _title(origin: Conversation) -> str:
    length = Conversation._meta.get_field("title").max_length or 0
    title = _("%(title)s (fork)")
    room = length - len(title % {"title": ""})
    return title % {"title": str(origin)[:room]}


def _copies(fork: Conversation, path: Sequence[Message]) -> list[Message]:
    copies: list[Message] = []
    for message in path:
        if not message.text:
            continue  # An answer that never came.
        copies.append(
            Message(
                conversation=fork,
                parent=copies[-1] if copies else None,
                role=message.role,
                text=message.text,
                reasoning=message.reasoning,
                attached=message.attached,
                created_at=message.created_at,
            )
        )
    return copies

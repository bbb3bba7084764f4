"""
What clients of the AI SDK ask for, done: the same over HTTP and over the WebSocket.

Such a client invents the id of its chat, which names a conversation of its
owner's; the id of a conversation that is there already is taken as well. It
tells, with each prompt, the messages that it shows: the answers among them by
the ids that they have here.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from chat.database import in_database
from chat.errors import BadRequest
from chat.generations import Accepted, Parent, regenerate, start_generation, stop_generation
from chat.generations.told import find_answer
from chat.models import Conversation, Generation, Message
from chat.wire.ai_request import ChatRequest

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from chat.models.chats import MessageQuerySet

PREFIX = "ai:"
MAX_LOOK_BACK = 100  # How many of the answers that a client shows are looked up.

ANSWER = Message.Role.ASSISTANT
PROMPT = Message.Role.USER


async def ask(user: "AbstractBaseUser", request: ChatRequest, *, key: str = "") -> Accepted:
    """
    Start answering the prompt, or give an answer again, beside the earlier one.

    The prompt follows the last answer that the client shows before it; where none
    of them is known, the newest. Raise as start_generation() does.
    """
    key = key or str(uuid4())
    if request.is_again and request.id is not None:
        answer_id = await in_database(_answer_meant, user, request, request.id)
        if answer_id is not None:
            return await regenerate(
                user, message_id=answer_id, key=key, model=request.model, agent=request.agent
            )
        if not request.prompt.strip():
            raise BadRequest("There is no answer here that could be given again.")
    own_id, parent_id = await in_database(_place_meant, user, request)
    return await start_generation(
        user,
        text=request.prompt,
        key=key,
        conversation_id=own_id,
        client_id=None if request.id is None else PREFIX + request.id,
        parent_id=parent_id,
        model=request.model,
        agent=request.agent,
        history=request.turns,
    )


async def find_running(user: "AbstractBaseUser", chat_id: str) -> Generation | None:
    """Return what is being written in a chat, or waits to be first. None for a stranger's chat."""
    return await in_database(_running, user, chat_id)


async def stop(user: "AbstractBaseUser", chat_id: str, *, message: str = "") -> None:
    """
    Stop what is being written in a chat, if anything is.

    With ``message``, the id of an answer, only if it is that one: a client may
    be late.
    """
    generation = await find_running(user, chat_id)
    if generation is not None and message in {"", str(generation.message_id)}:
        await stop_generation(generation)


def _running(user: "AbstractBaseUser", chat_id: str) -> Generation | None:
    conversation_id = _own(user, chat_id) or _named(user, chat_id)
    if conversation_id is None:
        return None
    active = Generation.objects.owned_by(user).active().filter(conversation_id=conversation_id)
    return active.order_by("id").first()


def _own(user: "AbstractBaseUser", chat_id: str) -> UUID | None:
    """Return the conversation that has this very id."""
    owned = Conversation.objects.owned_by(user).filter(pk__in=_uuids([chat_id]))
    return owned.values_list("pk", flat=True).first()


def _named(user: "AbstractBaseUser", chat_id: str) -> UUID | None:
    return Conversation.objects.owned_by(user).id_of(PREFIX + chat_id)


def _place_meant(
    user: "AbstractBaseUser", request: ChatRequest
) -> tuple[UUID | None, UUID | Parent | None]:
    """Return the conversation, unless its name is the client's, and what the prompt follows."""
    if request.id is None:
        return None, Parent.NEWEST
    own_id = _own(user, request.id)
    conversation_id = own_id or _named(user, request.id)
    if conversation_id is None:
        return None, Parent.NEWEST
    return own_id, _parent_meant(user, request, conversation_id)


def _parent_meant(
    user: "AbstractBaseUser", request: ChatRequest, conversation_id: UUID
) -> UUID | Parent | None:
    told = [each.id for each in request.above if each.role == ANSWER]
    shown = _uuids(told[-MAX_LOOK_BACK:])
    answers = _messages(user, conversation_id).filter(role=ANSWER, pk__in=shown)
    known = set(answers.values_list("pk", flat=True))
    for message_id in reversed(shown):
        if message_id in known:
            return message_id
    if request.is_edit and not told:
        return None  # The first prompt, in other words.
    answer, _ = find_answer(user.pk, request.turns, within=conversation_id)
    return Parent.NEWEST if answer is None else answer.pk


def _answer_meant(user: "AbstractBaseUser", request: ChatRequest, chat_id: str) -> UUID | None:
    conversation_id = _own(user, chat_id) or _named(user, chat_id)
    if conversation_id is None:
        return None
    messages = _messages(user, conversation_id)
    answers = messages.filter(role=ANSWER)
    named = messages.filter(pk__in=_uuids([request.messageId])).first()
    if named is not None:
        is_meant = {"pk": named.pk} if named.role == ANSWER else {"parent": named}
        answers = answers.filter(**is_meant)
    elif request.told:
        answers = answers.filter(parent__role=PROMPT, parent__text=request.prompt)
        parent = _parent_meant(user, request, conversation_id)
        if not isinstance(parent, Parent):
            answers = answers.filter(parent__parent=parent)
    else:
        answers = answers & messages.answers()
    return answers.order_by("-id").values_list("pk", flat=True).first()


def _messages(user: "AbstractBaseUser", conversation_id: UUID) -> "MessageQuerySet":
    return Message.objects.owned_by(user).filter(conversation_id=conversation_id)


def _uuids(values: Iterable[str]) -> list[UUID]:
    """Return those that may be ids of the site's own."""
    found = []
    for value in values:
        try:
            found.append(UUID(value))
        except ValueError:
            continue
    return found

"""What the HTTP API does to conversations: each function is one unit of work."""

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q, QuerySet

from chat.agents.registry import check_agent_name
from chat.database import in_database, in_transaction
from chat.errors import BadRequest, NotFound
from chat.generations import notify_conversation, stop_generation
from chat.llm.registry import check_model_name
from chat.models import Conversation, Generation, Message
from chat.views import schemas

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

Page = dict[str, Any]


def find(user: "AbstractBaseUser", conversation_id: UUID) -> Conversation:
    conversation = Conversation.objects.owned_by(user).filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation


def list_page(user: "AbstractBaseUser", query: schemas.ConversationQuery) -> Page:
    """Return a page of conversations, newest first; the cursor is the last one's place."""
    rows = Conversation.objects.owned_by(user)
    if query.q:
        rows = rows.search(query.q)
    if query.cursor:
        updated_at, pk = _parse_place(query.cursor)
        rows = rows.filter(Q(updated_at__lt=updated_at) | Q(updated_at=updated_at, pk__lt=pk))
    items = list(rows[: query.limit + 1])
    last = items[query.limit - 1] if len(items) > query.limit else None
    place = f"{last.updated_at.isoformat()}|{last.pk}" if last else None
    return {"items": items[: query.limit], "next": place}


def _parse_place(cursor: str) -> tuple[datetime, UUID]:
    when, _, pk = cursor.partition("|")
    try:
        # A plus sign in an address stands for a space.
        return datetime.fromisoformat(when.replace(" ", "+")), UUID(pk)
    except ValueError:
        raise BadRequest("cursor: take it from 'next' of the page before.") from None


async def create(user: "AbstractBaseUser", payload: schemas.NewConversation) -> Conversation:
    _check_names(payload)
    conversation = await in_transaction(
        Conversation.objects.create, owner_id=user.pk, **payload.model_dump()
    )
    await notify_conversation(user.pk, conversation.pk, "created", title=conversation.title)
    return conversation


async def change(
    user: "AbstractBaseUser", conversation_id: UUID, payload: schemas.ConversationChange
) -> Conversation:
    """Set the fields that were sent. An empty model means the site's default, no agent none."""
    _check_names(payload)
    changes = payload.model_dump(exclude_none=True)
    conversation = await in_transaction(_change, user, conversation_id, changes)
    await notify_conversation(user.pk, conversation_id, "updated", title=conversation.title)
    return conversation


def _check_names(payload: schemas.NewConversation | schemas.ConversationChange) -> None:
    if payload.model:
        check_model_name(payload.model)
    if payload.agent:
        check_agent_name(payload.agent)


def _change(
    user: "AbstractBaseUser", conversation_id: UUID, changes: dict[str, Any]
) -> Conversation:
    if changes:
        Conversation.objects.owned_by(user).filter(pk=conversation_id).update(**changes)
    return find(user, conversation_id)


async def delete(user: "AbstractBaseUser", conversation_id: UUID) -> None:
    """Delete a conversation with its messages; what runs in it is stopped first."""
    conversation = await in_database(find, user, conversation_id)
    # Newest first: a queued one must not start because the one before it was stopped.
    for generation in await in_database(_active, conversation):
        await stop_generation(generation)
    await in_transaction(conversation.delete)
    await notify_conversation(user.pk, conversation_id, "deleted")


def _active(conversation: Conversation) -> list[Generation]:
    return list(Generation.objects.active_in(conversation).order_by("-id"))


def list_messages(
    user: "AbstractBaseUser", conversation_id: UUID, query: schemas.PageQuery
) -> Page:
    """Return a page of a conversation's tree, oldest first; the cursor is the last one's id."""
    find(user, conversation_id)
    rows: QuerySet[Message] = Message.objects.filter(conversation_id=conversation_id)
    if query.cursor:
        try:
            rows = rows.filter(pk__gt=UUID(query.cursor))
        except ValueError:
            raise BadRequest("cursor: take it from 'next' of the page before.") from None
    items = list(rows.select_related("generation").order_by("id")[: query.limit + 1])
    more = len(items) > query.limit
    items = items[: query.limit]
    return {
        "items": [schemas.as_message(row, _generation_of(row)) for row in items],
        "next": str(items[-1].pk) if more else None,
    }


def _generation_of(message: Message) -> UUID | None:
    generation = getattr(message, "generation", None)
    return generation.pk if generation else None


def find_asked(
    user: "AbstractBaseUser", conversation_id: UUID, payload: schemas.NewMessage
) -> Generation:
    """Return the newest generation that answers this very prompt. Raise NotFound."""
    find(user, conversation_id)
    asked = Generation.objects.owned_by(user).filter(
        conversation_id=conversation_id, message__parent__text=payload.text
    )
    generation = asked.order_by("-id").first()
    if generation is None:
        raise NotFound("No such prompt was sent here. Send it without Last-Event-ID.")
    return generation

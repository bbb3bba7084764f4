"""What the HTTP API does to conversations: each function is one unit of work."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from chat.access import check_choice
from chat.agents.registry import check_agent_name
from chat.database import in_database, in_transaction
from chat.errors import BadRequest, NotFound
from chat.generations import notify_conversation
from chat.generations.personas import newest_of
from chat.generations.removal import restore_conversation
from chat.models import (
    Conversation,
    ConversationQuerySet,
    Generation,
    Message,
    Rating,
    load_files,
)
from chat.models.kept import end_of_temporary, lines_of
from chat.models.search import Words
from chat.models.tree import end_below
from chat.views import schemas

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

Page = dict[str, Any]


def find(user: "AbstractBaseUser", conversation_id: UUID) -> Conversation:
    owned = Conversation.objects.owned_by(user).with_persona()
    conversation = owned.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    return conversation


def listed(
    user: "AbstractBaseUser | AnonymousUser",
    *,
    text: str = "",
    tag: str = "",
    archived: bool | None = None,
) -> ConversationQuerySet:
    """
    Return a user's conversations as lists show them, newest first.

    Those that were archived are listed apart; whoever searches means them too.
    """
    conversations = Conversation.objects
    rows = conversations.sought_by(user, text) if text else conversations.owned_by(user)
    rows = rows.listed().with_running().with_unread()
    if tag:
        rows = rows.tagged(tag)
    if archived is None:
        return rows if text else rows.archived(False)
    return rows.archived(archived)


def add_snippets(rows: Sequence[Conversation], text: str) -> None:
    """Give each of the rows, which were found by a text, its ``snippet``. One query."""
    snippets = Message.objects.snippets([row.pk for row in rows], Words.of(text))
    for row in rows:
        row.snippet = snippets.get(row.pk)  # type: ignore[attr-defined]


def list_page(user: "AbstractBaseUser", query: schemas.ConversationQuery) -> Page:
    """Return a page of conversations, newest first; the cursor is the last one's place."""
    text = query.q.strip()
    rows = listed(user, text=text, tag=query.tag, archived=query.archived).with_persona()
    if query.cursor:
        updated_at, pk = _parse_place(query.cursor)
        rows = rows.filter(Q(updated_at__lt=updated_at) | Q(updated_at=updated_at, pk__lt=pk))
    items = list(rows[: query.limit + 1])
    last = items[query.limit - 1] if len(items) > query.limit else None
    if text and items:
        add_snippets(items, text)
    return {"items": items[: query.limit], "next": place_of(last) if last else None}


def place_of(row: Conversation) -> str:
    """Return the cursor of what follows a row."""
    return f"{row.updated_at.isoformat()}|{row.pk}"


def _parse_place(cursor: str) -> tuple[datetime, UUID]:
    when, _, pk = cursor.partition("|")
    try:
        # A plus sign in an address stands for a space.
        return datetime.fromisoformat(when.replace(" ", "+")), UUID(pk)
    except ValueError:
        raise BadRequest("cursor: take it from 'next' of the page before.") from None


async def create(user: "AbstractBaseUser", payload: schemas.NewConversation) -> Conversation:
    await _check_names(user, payload)
    fields = payload.model_dump(exclude_none=True)
    conversation = await in_transaction(_create, user, fields)
    await notify_conversation(user.pk, conversation.pk, "created", **news(conversation))
    return conversation


def _create(user: "AbstractBaseUser", fields: dict[str, Any]) -> Conversation:
    persona_id = fields.pop("persona", None)
    conversation = Conversation(owner_id=user.pk, **fields)
    conversation.persona_version = newest_of(user, persona_id) if persona_id else None
    if conversation.temporary:
        conversation.deleted_at = end_of_temporary()
    conversation.save(force_insert=True)
    return conversation


async def change(
    user: "AbstractBaseUser", conversation_id: UUID, payload: schemas.ConversationChange
) -> Conversation:
    """Set the fields that were sent. An empty model means the site's default, no agent none."""
    await _check_names(user, payload)
    changes = payload.model_dump(exclude_none=True)
    if "persona" in payload.model_fields_set:
        changes["persona"] = payload.persona
    conversation = await in_transaction(_change, user, conversation_id, changes)
    names = ("unread", "open")
    passing: dict[str, Any] = {name: changes[name] for name in names if name in changes}
    if "leaf" in changes:
        passing["leaf"] = str(conversation.leaf_id)
    lasting = {} if changes and changes.keys() == passing.keys() else news(conversation)
    await notify_conversation(user.pk, conversation_id, "updated", **lasting, **passing)
    return conversation


async def _check_names(
    user: "AbstractBaseUser", payload: schemas.NewConversation | schemas.ConversationChange
) -> None:
    if payload.model:
        await check_choice(user, payload.model)
    if payload.agent:
        check_agent_name(payload.agent)


async def restore(user: "AbstractBaseUser", conversation_id: UUID) -> Conversation:
    """Bring back a conversation that was deleted a moment ago, and tell of it."""
    await restore_conversation(user, conversation_id)
    conversation = await in_database(find, user, conversation_id)
    await notify_conversation(user.pk, conversation_id, "created", **news(conversation))
    return conversation


def news(conversation: Conversation) -> dict[str, Any]:
    """Return what a list needs to show a conversation in its place."""
    return {
        "title": conversation.title,
        "pinned": conversation.pinned,
        "archived": conversation.archived,
        "temporary": conversation.temporary,
        "tags": conversation.tags,
        "updated_at": conversation.updated_at.isoformat(),
    }


def _change(
    user: "AbstractBaseUser", conversation_id: UUID, changes: dict[str, Any]
) -> Conversation:
    conversation = find(user, conversation_id)
    if persona_id := changes.get("persona"):
        changes = changes | {"persona": newest_of(user, persona_id)}
    columns = dict(_columns(conversation, changes))
    if columns:
        Conversation.objects.filter(pk=conversation_id).update(**columns)
        conversation = find(user, conversation_id)
    return conversation


def _columns(conversation: Conversation, changes: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a change of fields is in columns. Raise BadRequest."""
    if conversation.temporary and changes.keys() & {"pinned", "archived", "tags"}:
        raise BadRequest("A temporary conversation is in no list: it cannot be kept like this.")
    if not conversation.temporary and "open" in changes:
        raise BadRequest("open: only a temporary conversation ends when it is closed.")
    now = timezone.now()
    for name, value in changes.items():
        match name:
            case "pinned" | "archived":
                other = {"pinned": "archived", "archived": "pinned"}[name]
                yield f"{name}_at", now if value else None
                if value and not changes.get(other):  # What is put away does not stand on top.
                    yield f"{other}_at", None
            case "tags":
                yield "tag_lines", lines_of(value)
            case "unread":
                yield "read_at", F("created_at") if value else now
            case "open":
                yield "deleted_at", end_of_temporary(closed=not value)
            case "leaf":
                yield "leaf_id", _end_through(conversation, value)
            case "persona":
                yield "persona_version", value
            case "title":
                yield "title", value
                yield "title_is_first_words", False
            case _:
                yield name, value


def _end_through(conversation: Conversation, message_id: UUID) -> UUID:
    """Return the end of the newest branch through a message. Raise NotFound."""
    if not conversation.messages.filter(pk=message_id).exists():
        raise NotFound
    return end_below(message_id)


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
    items = list(rows.select_related("generation", "rating").order_by("id")[: query.limit + 1])
    more = len(items) > query.limit
    items = items[: query.limit]
    load_files(items)
    return {
        "items": [schemas.as_message(row, *_related_to(row)) for row in items],
        "next": str(items[-1].pk) if more else None,
    }


def _related_to(message: Message) -> tuple[UUID | None, Rating | None]:
    generation = getattr(message, "generation", None)
    return generation.pk if generation else None, getattr(message, "rating", None)


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

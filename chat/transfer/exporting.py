"""Taking conversations out, piece by piece: memory holds a few messages, however many there are."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone

from chat.database import in_database
from chat.models import Attachment, Conversation, Message, Rating, load_files
from chat.transfer.ours import FORMAT, VERSION

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

CONVERSATIONS = 50  # At most so many rows at once.
MESSAGES = 20

_KEPT = ("title", "model", "agent", "pinned", "archived", "tags", "created_at", "updated_at")
_GENERATED = (
    *("id", "model", "agent", "status", "finish_reason", "usage", "error"),
    *("created_at", "started_at", "first_delta_at", "ended_at"),
)
RATED = ("value", "reasons", "comment", "created_at", "updated_at")


async def conversations_of(user: "AbstractBaseUser") -> AsyncIterator[Conversation]:
    """Yield what a user has, the oldest first, archived ones too; not what is temporary."""
    after = UUID(int=0)
    while rows := await in_database(_page_of_conversations, user, after):
        for conversation in rows:
            yield conversation
        after = rows[-1].pk


async def messages_of(conversation: Conversation) -> AsyncIterator[Message]:
    """Yield a conversation's messages with their generations, each after its parent."""
    after = UUID(int=0)
    while rows := await in_database(_page_of_messages, conversation.pk, after):
        for message in rows:
            yield message
        after = rows[-1].pk


async def as_json(conversations: AsyncIterator[Conversation]) -> AsyncIterator[str]:
    """Yield the pieces of an export in our own form: every branch, whatever is shown."""
    head = {"format": FORMAT, "version": VERSION, "exported_at": timezone.now()}
    yield f'{_json(head)[:-1]}, "conversations": ['
    separator = "\n"
    async for conversation in conversations:
        fields = {name: getattr(conversation, name) for name in _KEPT} | _persona(conversation)
        yield f'{separator}{_json({"id": conversation.pk, **fields})[:-1]}, "messages": ['
        separator = "\n"
        async for message in messages_of(conversation):
            yield f"{separator}{_json(_message(message))}"
            separator = ",\n"
        yield "\n]}"
        separator = ",\n"
    yield "\n]}\n"


def _persona(conversation: Conversation) -> dict[str, Any]:
    """Name a conversation's persona. What it says stays here, as files do."""
    version = conversation.persona_version
    return {"persona": version and {"name": version.persona.name, "version": version.number}}


def _message(message: Message) -> dict[str, Any]:
    generation = getattr(message, "generation", None)
    rating: Rating | None = getattr(message, "rating", None)
    return {
        "id": message.pk,
        "parent": message.parent_id,
        "role": message.role,
        "text": message.text,
        "reasoning": message.reasoning,
        "created_at": message.created_at,
        "attachments": [_file(file) for file in message.files],
        "generation": generation and {name: getattr(generation, name) for name in _GENERATED},
        "rating": rating and {name: getattr(rating, name) for name in RATED},
    }


def _file(file: Attachment) -> dict[str, Any]:
    """Name a file. Its content stays here: an export is read by people, and by other sites."""
    return file.as_news() | {"sha256": file.sha256}


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


def _page_of_conversations(user: "AbstractBaseUser", after: UUID) -> list[Conversation]:
    rows = Conversation.objects.owned_by(user).with_persona().listed().filter(pk__gt=after)
    return list(rows.order_by("pk")[:CONVERSATIONS])


def _page_of_messages(conversation_id: UUID, after: UUID) -> list[Message]:
    rows = Message.objects.filter(conversation_id=conversation_id, pk__gt=after)
    messages = list(rows.select_related("generation", "rating").order_by("pk")[:MESSAGES])
    load_files(messages)
    return messages


def pages(ids: list[UUID]) -> Iterator[list[UUID]]:
    """Yield ids a few at a time."""
    for start in range(0, len(ids), MESSAGES):
        yield ids[start : start + MESSAGES]

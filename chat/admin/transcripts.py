"""A conversation as it is shown to staff: a page of its messages, in the order they came."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Left, Length

from chat.models import Conversation, Message

MESSAGES = 100  # On one page.
CHARS = 2000  # Of each message: one answer alone may have megabytes.


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A message and its place in the tree."""

    message: Message
    is_branch: bool  # It does not follow the message shown before it.
    place: int
    versions: int  # So many messages follow the same one.

    @property
    def text(self) -> str:
        return str(self.message.excerpt)  # type: ignore[attr-defined]

    @property
    def is_cut(self) -> bool:
        return bool(self.message.length > CHARS)  # type: ignore[attr-defined]


def page_of(conversation: Conversation, before: UUID | None) -> dict[str, Any]:
    """Return what to show of a conversation: its newest messages, or those before one."""
    rows = (
        Message.objects.filter(conversation=conversation)
        .select_related("rating")
        .defer("text", "reasoning")
        .annotate(excerpt=Left("text", CHARS), length=Length("text"))
        .order_by("-id")
    )
    # The index of messages serves any page alike; numbered pages would count up to theirs.
    found = list((rows.filter(pk__lt=before) if before else rows)[: MESSAGES + 1])
    messages = found[:MESSAGES][::-1]
    return {
        "turns": turns_of(messages),
        "earlier": messages[0].pk if len(found) > MESSAGES else None,
        "is_newest": before is None,
    }


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """Return messages, in the order they came, with their places in the tree."""
    siblings = _siblings(messages)
    turns, previous = [], None
    for message in messages:
        family = siblings[message.parent_id]
        turns.append(
            Turn(
                message=message,
                is_branch=message.parent_id != previous and message is not messages[0],
                place=family.index(message.pk) + 1,
                versions=len(family),
            )
        )
        previous = message.pk
    return turns


def _siblings(messages: Sequence[Message]) -> dict[UUID | None, list[UUID]]:
    """Return the ids of the messages that follow the same ones, the oldest first. One query."""
    if not messages:
        return {}
    parents = {message.parent_id for message in messages}
    shared = Q(parent__in=parents - {None})
    if None in parents:
        shared |= Q(parent=None)
    here = Message.objects.filter(shared, conversation_id=messages[0].conversation_id)
    found: dict[UUID | None, list[UUID]] = defaultdict(list)
    for parent, pk in here.order_by("pk").values_list("parent", "pk"):
        found[parent].append(pk)
    return found

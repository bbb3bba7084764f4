"""Which messages a page shows: the end of one branch, or as much of it as was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chat.generations.history import is_withdrawn
from chat.models import Conversation, Message, load_files

WINDOW = 100  # Messages; "show earlier" adds as many again.
MAX_WINDOWS = 1000


@dataclass(frozen=True, slots=True)
class Pager:
    """Which of how many versions a message is, and those beside it."""

    number: int
    count: int
    previous: UUID | None
    next: UUID | None


def window_of(
    conversation: Conversation | None, windows: str, *, leaf: UUID | None = None
) -> tuple[list[Message], int, bool]:
    """
    Return the messages, how many windows they fill, and whether there are earlier ones.

    ``windows`` is what the page's address says of that.
    """
    count = min(int(windows), MAX_WINDOWS) if windows.isdecimal() and len(windows) < 10 else 1
    if conversation is None:
        return [], count, False
    messages, more = branch_of(conversation, limit=WINDOW * count, leaf=leaf)
    return messages, count, more


def branch_of(
    conversation: Conversation, *, limit: int, leaf: UUID | None = None
) -> tuple[list[Message], bool]:
    """
    Return the last messages from the root to a leaf, and whether there are more.

    Without a leaf to the one that its owner chose, or the newest. A few queries,
    and rows for what is shown, whatever the length: bare ids first, texts second.
    """
    end = leaf or conversation.leaf_id
    branch = conversation.messages.branch(end, limit=limit + 1)
    rows = conversation.messages.filter(pk__in=branch[:limit]).exclude(role=Message.Role.SYSTEM)
    rows = rows.order_by("id").select_related("generation", "rating")
    messages = list(rows.with_siblings().with_thought())
    if leaf is None and messages and is_withdrawn(messages[-1]):
        kept = conversation.messages.newest_kept()
        return branch_of(conversation, limit=limit, leaf=kept or messages[-1].pk)
    load_files(messages)
    return messages, len(branch) > limit


def add_pagers(messages: Sequence[Message]) -> None:
    """
    Give each of one conversation's messages that has other versions its ``pager``.

    They are read ``with_siblings()``: one query, and none where nothing was asked twice.
    """
    messages = [message for message in messages if message.has_siblings]  # type: ignore[attr-defined]
    if not messages:
        return
    rows = Message.objects.filter(conversation_id=messages[0].conversation_id)
    versions = rows.versions({message.parent_id for message in messages})
    for message in messages:
        message.pager = _pager(message, versions.get(message.parent_id, []))  # type: ignore[attr-defined]


def _pager(message: Message, ids: Sequence[UUID]) -> Pager | None:
    if len(ids) < 2 or message.pk not in ids:
        return None
    place = ids.index(message.pk)
    return Pager(
        number=place + 1,
        count=len(ids),
        previous=ids[place - 1] if place else None,
        next=ids[place + 1] if place + 1 < len(ids) else None,
    )

"""A conversation as a Markdown document, for people."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from chat.database import in_database
from chat.models import Conversation, Message, load_files
from chat.transfer.exporting import pages

RULE = "\n\n---\n\n"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a message stands: which of how many versions of its turn it is."""

    id: UUID
    number: int = 1
    of: int = 1


async def as_markdown(
    conversations: AsyncIterator[Conversation],
    *,
    leaf: UUID | None = None,
    all_branches: bool = False,
) -> AsyncIterator[str]:
    """
    Yield the pieces of a document: of each conversation the branch that is shown.

    With a ``leaf`` the branch that ends there; or all branches, each version of a
    turn marked as such.
    """
    is_first = True
    async for conversation in conversations:
        if not is_first:
            yield RULE
        is_first = False
        yield _head(conversation)
        places = await in_database(_places, conversation, leaf, all_branches)
        by_id = {place.id: place for place in places}
        for ids in pages(list(by_id)):
            rows = await in_database(_rows, ids)
            for pk in ids:
                if pk in rows:
                    yield _turn(rows[pk], by_id[pk])


def _head(conversation: Conversation) -> str:
    title = " ".join(str(conversation).split())
    begun = date_format(localtime(conversation.created_at), "DATETIME_FORMAT")
    return f"# {title}\n\n*{begun}*\n"


def _turn(message: Message, place: _Place) -> str:
    if message.role == Message.Role.SYSTEM or not message.text:
        return ""
    generation = getattr(message, "generation", None)
    who = _("You") if message.role == Message.Role.USER else _("Assistant")
    parts = [who, *([generation.model] if generation else [])]
    if place.of > 1:
        numbers = {"number": place.number, "count": place.of}
        parts.append(_("version %(number)d of %(count)d") % numbers)
    attached = _("Attached")
    files = "".join(f"*{attached}: {file.name}*\n\n" for file in message.files)
    return f"\n## {' · '.join(parts)}\n\n{files}{message.text.strip()}\n"


def _places(conversation: Conversation, leaf: UUID | None, all_branches: bool) -> list[_Place]:
    if not all_branches:
        branch = conversation.messages.branch(leaf or conversation.leaf_id)
        return [_Place(pk) for pk in reversed(branch)]
    children: dict[UUID | None, list[UUID]] = {}
    for pk, parent in conversation.messages.order_by("id").values_list("id", "parent_id"):
        children.setdefault(parent, []).append(pk)
    found: list[_Place] = []
    waiting = _versions(children.get(None, []))
    while waiting:  # Each version with all that follows it, before the next one.
        place = waiting.pop()
        found.append(place)
        waiting += _versions(children.get(place.id, []))
    return found


def _versions(ids: list[UUID]) -> list[_Place]:
    return [_Place(pk, number, len(ids)) for number, pk in enumerate(ids, 1)][::-1]


def _rows(ids: list[UUID]) -> dict[UUID, Message]:
    found = Message.objects.select_related("generation").in_bulk(ids)
    load_files(found.values())
    return found

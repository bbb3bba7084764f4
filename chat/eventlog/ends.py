"""
Ends, as the rows of generations tell them.

A log that is not in the database can lose its last event. What that event
said is told again from the row, byte for byte, because both are made here.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chat.errors import ChatError, EventsExpired, Fenced, StorageFailed
from chat.events import Event, EventKind
from chat.models import Generation

Status = Generation.Status


def end_data(
    status: str, *, text: str, finish_reason: str, usage: Any, error: Any
) -> dict[str, Any]:
    """Return the data of the terminal event, as `docs/protocol.md` orders it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    data: dict[str, Any] = {"length": len(text), "sha256": digest}
    if status == Status.DONE:
        return {"finish_reason": finish_reason, "usage": _ordered(usage)} | data
    return (_ordered(error) or {}) | data


def _ordered(value: Any) -> Any:
    # A database does not give back the keys of JSON in the order it got them.
    return {key: _ordered(value[key]) for key in sorted(value)} if type(value) is dict else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the database says of a generation."""

    is_unclaimed: bool
    is_terminal: bool
    is_cut: bool  # It failed because its last events could not be stored.
    cursor: int


def find_rows(generation_ids: Collection[UUID]) -> dict[UUID, Row]:
    """Return the rows of generations that are not deleted."""
    rows = Generation.objects.filter(pk__in=generation_ids).only(
        "status", "cursor", "worker", "error"
    )
    return {
        row.pk: Row(
            is_unclaimed=row.worker is None and not row.is_terminal,
            is_terminal=row.is_terminal,
            is_cut=(row.error or {}).get("code") == StorageFailed.code,
            cursor=row.cursor,
        )
        for row in rows
    }


def terminal_event(generation_id: UUID) -> Event:
    """
    Return the terminal event of a generation that has ended with its log whole.

    Raise EventsExpired if it is deleted.
    """
    row = Generation.objects.select_related("message").filter(pk=generation_id).first()
    if row is None:
        raise EventsExpired
    data = end_data(
        row.status,
        text=row.message.text,
        finish_reason=row.finish_reason,
        usage=row.usage,
        error=row.error,
    )
    return Event.create(cursor=row.cursor, kind=EventKind(row.status), data=data)


def check_writers(epochs: Mapping[UUID, int]) -> dict[UUID, ChatError]:
    """Return what is wrong with the writers of these epochs: EventsExpired, or Fenced."""
    rows = Generation.objects.filter(pk__in=epochs).values_list("pk", "epoch")
    owners: dict[UUID, int] = dict(rows)
    found: dict[UUID, ChatError] = {}
    for generation_id, epoch in epochs.items():
        owner = owners.get(generation_id)
        if owner is None:
            found[generation_id] = EventsExpired()
        elif owner > epoch:
            found[generation_id] = Fenced()
    return found


def save_end(generation_id: UUID, epoch: int, save: Callable[[], bool]) -> bool:
    """Do a unit of work unless a later writer owns the generation. Raise as `check_writers()`."""
    for error in check_writers({generation_id: epoch}).values():
        raise error
    return save()

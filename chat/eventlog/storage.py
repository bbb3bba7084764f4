"""
Event logs as rows: the units of database work of `DatabaseEventLog`.

Plain SQL on the hot path: a row is four values, and the ORM would cost more
than the commit.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils import timezone

from chat.errors import EventsExpired, Fenced
from chat.eventlog.image import MAX_BATCH, MAX_BATCH_CHARS
from chat.events import Event, EventKind
from chat.failpoints import reach
from chat.models import Conversation, Generation, StoredEvent
from chat.models.ids import from_column, to_column

_TABLE = StoredEvent._meta.db_table
_CONVERSATIONS = Conversation._meta.db_table
_GENERATIONS = Generation._meta.db_table
_INSERT = (
    f"INSERT INTO {_TABLE} (generation_id, cursor, kind, data) "  # noqa: S608 - our own names
    "VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
# SQLite lets go of the interpreter's lock around every step of a statement, and has to win it
# back from a busy event loop each time. So it gets all rows as one value, in one step.
_INSERT_AT_ONCE = (
    f"INSERT INTO {_TABLE} (generation_id, cursor, kind, data) "  # noqa: S608
    "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), "
    "json_extract(value, '$[2]'), json_extract(value, '$[3]') FROM json_each(%s) "
    "WHERE true ON CONFLICT DO NOTHING"
)
_EPOCHS_AT_ONCE = (
    f"SELECT json_group_object(id, epoch) FROM {_GENERATIONS} "  # noqa: S608
    "WHERE id IN (SELECT value FROM json_each(%s))"
)
_SELECT = (
    f"SELECT cursor, kind, data FROM {_TABLE} "  # noqa: S608
    "WHERE generation_id = %s AND cursor > %s ORDER BY cursor"
)
_SELECT_LAST = (
    f"SELECT cursor, kind, data FROM {_TABLE} "  # noqa: S608
    "WHERE generation_id = %s ORDER BY cursor DESC LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way into the log, and the work that must be committed with it."""

    generation_id: UUID
    epoch: int
    event: Event
    save: Callable[[], bool] | None = None


def write(entries: Sequence[Entry]) -> list[Exception | None]:
    """
    Insert events. Return what is wrong with each entry, None where it is stored.

    Fenced: a later epoch owns the generation. EventsExpired: the generation is
    deleted. Repeating a call whose outcome is unknown is harmless: a row that
    is there was written by the same writer.
    """
    # Conversations first, as everybody does who decides what runs next in one.
    _lock_conversations({entry.generation_id for entry in entries if entry.save})
    epochs = _lock({entry.generation_id for entry in entries})
    outcomes: list[Exception | None] = []
    rows = []
    for entry in entries:
        error = _refusal(entry, epochs)
        if error is None and entry.save is not None:
            error = _save(entry.save)
        outcomes.append(error)
        if error is None:
            rows.append(_row(entry.generation_id, entry.event))
    if rows:
        _insert(rows)
    if any(entry.save for entry in entries):
        reach("before-end-commit")
    return outcomes


def insert(generation_id: UUID, event: Event) -> None:
    """Insert an event of a generation that this transaction has locked, or made."""
    _insert([_row(generation_id, event)])


def take_over(generation_id: UUID, epoch: int) -> list[Event]:
    """
    Return all events of a log, once no earlier writer can add to them.

    Raise Fenced or EventsExpired as `write()` reports them.
    """
    found = _lock({generation_id}).get(to_column(generation_id))
    if found is None:
        raise EventsExpired
    if found > epoch:
        raise Fenced
    return fetch(generation_id, after=0)


def fetch(generation_id: UUID, *, after: int) -> list[Event]:
    """Return the events past a cursor."""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT, [to_column(generation_id), after])
        return [_event(*row) for row in cursor.fetchall()]


def fetch_page(generation_id: UUID, *, after: int) -> tuple[list[Event], bool]:
    """Return as many events past a cursor as are fit for one batch, and whether there are more."""
    page: list[Event] = []
    size = 0
    with connection.cursor() as cursor:
        cursor.execute(f"{_SELECT} LIMIT {MAX_BATCH + 1}", [to_column(generation_id), after])
        for row in cursor:
            event = _event(*row)
            size += len(event.json)
            if page and (len(page) == MAX_BATCH or size > MAX_BATCH_CHARS):
                return page, True
            page.append(event)
    return page, False


def fetch_end(generation_id: UUID) -> Event | None:
    """Return the terminal event of a log that has ended and is kept."""
    with connection.cursor() as cursor:
        cursor.execute(_SELECT_LAST, [to_column(generation_id)])
        row = cursor.fetchone()
    last = _event(*row) if row else None
    return last if last and last.kind.is_terminal else None


def fetch_all(generation_id: UUID) -> list[Event]:
    """Return the events of a log that a reader asks for. Raise EventsExpired if not kept."""
    events = fetch(generation_id, after=0)
    if not events and not Generation.objects.active().filter(pk=generation_id).exists():
        events = fetch(generation_id, after=0)  # It may have ended between the two.
        if not events:
            raise EventsExpired
    return events


def fetch_new(after: Mapping[UUID, int]) -> dict[UUID, list[Event] | None]:
    """
    Return, for each log that has any, its events past a cursor; None if it was deleted.

    One query for all, whoever follows what.
    """
    wanted = ", ".join(["(%s, %s)"] * len(after))
    kinds = "::uuid" if connection.vendor == "postgresql" else ""
    sql = (
        f"WITH wanted(id, cursor) AS (VALUES {wanted}) "  # noqa: S608
        f"SELECT e.generation_id, e.cursor, e.kind, e.data FROM {_TABLE} e "
        f"JOIN wanted w ON e.generation_id = w.id{kinds} AND e.cursor > w.cursor "
        "ORDER BY e.generation_id, e.cursor"
    )
    parameters: list[Any] = []
    for generation_id, cursor in after.items():
        parameters += [to_column(generation_id), cursor]
    found: dict[UUID, list[Event] | None] = {}
    with connection.cursor() as db:
        db.execute(sql, parameters)
        for generation_id, *row in db.fetchall():
            events = found.setdefault(from_column(generation_id), [])
            assert events is not None
            events.append(_event(*row))
    known = set(Generation.objects.filter(pk__in=after).values_list("pk", flat=True))
    return found | dict.fromkeys(set(after) - known)


def delete_expired(retention_seconds: float, *, limit: int) -> int:
    """Delete up to ``limit`` logs that ended longer ago. Return how many there were."""
    ended_before = timezone.now() - timedelta(seconds=retention_seconds)
    first_events = StoredEvent.objects.filter(cursor=1, generation__ended_at__lt=ended_before)
    logs = [to_column(pk) for pk in first_events.values_list("generation_id", flat=True)[:limit]]
    if logs:
        places = ", ".join(["%s"] * len(logs))
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {_TABLE} WHERE generation_id IN ({places})", logs)  # noqa: S608
    return len(logs)


def _row(generation_id: UUID, event: Event) -> tuple[Any, ...]:
    return to_column(generation_id), event.cursor, str(event.kind), event.json


def _insert(rows: Sequence[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(_INSERT_AT_ONCE, [orjson.dumps(rows).decode()])
        else:
            cursor.executemany(_INSERT, rows)


def _lock(generation_ids: Iterable[UUID]) -> dict[Any, int]:
    """Return epochs by stored id, and keep others from changing them until the commit."""
    keys = [to_column(pk) for pk in generation_ids]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # The transaction has locked the file.
            cursor.execute(_EPOCHS_AT_ONCE, [orjson.dumps(keys).decode()])
            (found,) = cursor.fetchone()
            epochs: dict[Any, int] = orjson.loads(found)
            return epochs
        # In one order, so that two writers never wait for each other.
        places = ", ".join(["%s"] * len(keys))
        sql = f"SELECT id, epoch FROM {_GENERATIONS} WHERE id IN ({places}) ORDER BY id"  # noqa: S608
        if connection.features.has_select_for_no_key_update:
            sql += " FOR NO KEY UPDATE"
        cursor.execute(sql, sorted(keys))
        return dict(cursor.fetchall())


def _lock_conversations(generation_ids: Iterable[UUID]) -> None:
    """Let this transaction alone decide what runs next in the conversations of generations."""
    keys = [to_column(pk) for pk in generation_ids]
    if keys and connection.features.has_select_for_update:
        places = ", ".join(["%s"] * len(keys))
        ours = f"SELECT conversation_id FROM {_GENERATIONS} WHERE id IN ({places})"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM {_CONVERSATIONS} WHERE id IN ({ours}) ORDER BY id FOR UPDATE",  # noqa: S608
                keys,
            )


def _refusal(entry: Entry, epochs: Mapping[Any, int]) -> Exception | None:
    epoch = epochs.get(to_column(entry.generation_id))
    if epoch is None:
        return EventsExpired()
    return Fenced() if epoch > entry.epoch else None


def _save(save: Callable[[], bool]) -> Exception | None:
    try:
        with transaction.atomic():
            return None if save() else AlreadyEnded()
    except Exception as exc:
        if connection.needs_rollback:
            raise  # Of the connection, not of the unit.
        return exc


class AlreadyEnded(Exception):
    """The generation had ended before."""


def _event(cursor: int, kind: str, data: str) -> Event:
    return Event(cursor=cursor, kind=EventKind(kind), data=orjson.loads(data), json=data)

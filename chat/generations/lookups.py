"""
What every prompt on its way asks the database, in plain SQL.

For answers of a few bytes the ORM would cost several times the query.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from chat.models import Conversation, Generation
from chat.models.ids import from_column, to_column

Status = Generation.Status

_CONVERSATIONS = Conversation._meta.db_table
_GENERATIONS = Generation._meta.db_table
_STANDING = f"""
SELECT
    EXISTS (SELECT 1 FROM {_GENERATIONS} WHERE owner_id = %s AND idempotency_key = %s),
    (SELECT created_at > %s FROM {_GENERATIONS} WHERE owner_id = %s
     ORDER BY id DESC LIMIT 1 OFFSET %s),
    (SELECT COUNT(*) FROM {_GENERATIONS} WHERE owner_id = %s AND status = '{Status.RUNNING}')
"""  # noqa: S608 - our own names
_ACTIVE = (
    f"SELECT id, status FROM {_GENERATIONS} "  # noqa: S608
    f"WHERE conversation_id = %s AND status IN ('{Status.QUEUED}', '{Status.RUNNING}') "
    "ORDER BY message_id"
)
_LOCK = f"SELECT 1 FROM {_CONVERSATIONS} WHERE id = %s FOR UPDATE"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is of a user already, when a prompt arrives."""

    has_key: bool  # A generation of theirs has this idempotency key.
    is_too_fast: bool  # They have used up what is allowed since a moment.
    running: int


def standing(user_id: Any, *, key: str, limit: int, since: datetime) -> Standing:
    """Return a user's standing. ``limit`` is how many prompts are allowed since then."""
    owner = Generation._meta.get_field("owner").get_db_prep_value(user_id, connection)
    moment = connection.ops.adapt_datetimefield_value(since)
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [owner, key, moment, owner, limit - 1, owner])
        has_key, is_too_fast, running = cursor.fetchone()
    return Standing(bool(has_key), bool(is_too_fast), running)


def active_in(conversation_id: UUID) -> list[tuple[UUID, str]]:
    """Return id and status of what runs or waits in a conversation, in their order."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTIVE, [to_column(conversation_id)])
        return [(from_column(pk), status) for pk, status in cursor.fetchall()]


def lock(conversation_id: UUID) -> None:
    """Let this transaction alone decide what runs next in a conversation."""
    if connection.features.has_select_for_update:  # SQLite has locked the file already.
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [to_column(conversation_id)])

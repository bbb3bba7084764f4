"""Ways through a conversation's tree of messages, each one query however large the tree."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connection

from chat.models.ids import from_column, to_column

if TYPE_CHECKING:
    from django.db.models import QuerySet

_UP = """
WITH RECURSIVE path(id, parent_id, depth) AS (
    SELECT id, parent_id, 1 FROM chat_message WHERE id = ({leaf})
  UNION ALL
    SELECT m.id, m.parent_id, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
    WHERE path.depth < %s
)
SELECT id FROM path ORDER BY depth
"""
# Past what was taken out of a queue: such an answer, and a prompt that has no other.
_DOWN = """
WITH RECURSIVE path(id, depth) AS (
    SELECT id, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT (
        SELECT m.id FROM chat_message m
        WHERE m.parent_id = path.id
          AND NOT EXISTS (
            SELECT 1 FROM chat_generation g
            WHERE g.message_id = m.id AND g.status = 'stopped' AND g.started_at IS NULL
          )
          AND (m.role <> 'user' OR NOT EXISTS (
            SELECT 1 FROM chat_message answer WHERE answer.parent_id = m.id
          ) OR EXISTS (
            SELECT 1 FROM chat_message answer
            LEFT JOIN chat_generation g ON g.message_id = answer.id
            WHERE answer.parent_id = m.id
              AND (g.id IS NULL OR g.status <> 'stopped' OR g.started_at IS NOT NULL)
          ))
        ORDER BY m.id DESC LIMIT 1
    ), path.depth + 1
    FROM path WHERE path.id IS NOT NULL
)
SELECT id FROM path WHERE id IS NOT NULL ORDER BY depth DESC LIMIT 1
"""

NO_LIMIT = 2**31 - 1


def path_up(leaf: "QuerySet[Any, Any]", *, limit: int | None = None) -> list[UUID]:
    """Return the ids from the one that a query gives up to the root, or the first so many."""
    sql, params = leaf.query.sql_with_params()
    return _ids(_UP.format(leaf=sql), *params, NO_LIMIT if limit is None else limit)


def end_below(message: UUID) -> UUID:
    """Return the end of the newest branch through a message, which may be that message."""
    return _ids(_DOWN, to_column(message))[0]


def _ids(sql: str, *params: Any) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [from_column(row[0]) for row in cursor.fetchall()]

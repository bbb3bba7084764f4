"""What the model is told: the path from a message up to the root of its tree."""

from itertools import takewhile

from django.db import connection

from chat.models import Conversation, Message
from chat.models.ids import to_column

# Recursive, so that one query fetches one branch, however large the tree.
_PATH = """
WITH RECURSIVE path(id, parent_id, role, text, depth) AS (
    SELECT id, parent_id, role, text, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT m.id, m.parent_id, m.role, m.text, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
    WHERE path.depth < %s
)
SELECT role, text FROM path WHERE depth > 0 ORDER BY depth
"""
# What the system says is nearly always at the root, however far up that is.
_SYSTEM = """
WITH RECURSIVE path(id, parent_id, role, depth) AS (
    SELECT id, parent_id, role, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT m.id, m.parent_id, m.role, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
)
SELECT m.role, m.text FROM path JOIN chat_message m ON m.id = path.id
WHERE path.depth > %s AND path.role = 'system' ORDER BY path.depth
"""
_WHOLE_PATH = """
WITH RECURSIVE path(id, parent_id, depth) AS (
    SELECT id, parent_id, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT m.id, m.parent_id, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
)
SELECT m.* FROM path JOIN chat_message m ON m.id = path.id ORDER BY path.depth DESC
"""

MAX_TURNS = 400


def history_before(message: Message, *, limit_chars: int) -> list[tuple[str, str]]:
    """
    Return ``(role, text)`` of the messages above ``message``, oldest first.

    The last one is the prompt, whole. Older ones are taken while they fit in
    ``limit_chars``; answers without text are left out. What the system says is
    always taken.
    """
    parent = message.parent if Message._meta.get_field("parent").is_cached(message) else None
    if parent is not None and parent.parent_id is None:
        return [(parent.role, parent.text)]  # The first turn: known without asking.
    with connection.cursor() as cursor:
        cursor.execute(_PATH, [to_column(message.pk), MAX_TURNS])
        rows = cursor.fetchall()
        if len(rows) == MAX_TURNS:
            cursor.execute(_SYSTEM, [to_column(message.pk), MAX_TURNS])
            rows = [*rows, *cursor.fetchall()]
    history: list[tuple[str, str]] = []
    for role, text in rows:
        limit_chars -= len(text)
        fits = limit_chars >= 0 or not history or role == Message.Role.SYSTEM
        if text and fits:
            history.append((role, text))
    return history[::-1]


def newest_end(conversation: Conversation) -> Message | None:
    """
    Return what the next prompt follows: the end of the branch that is shown.

    That is the newest answer, or what a fork ends with, unless its owner looks at another.
    """
    if conversation.leaf_id is not None:
        shown = conversation.messages.kept().filter(pk=conversation.leaf_id).first()
        if shown is not None:
            return shown
    answer = conversation.messages.answers().order_by("-id").first()
    if conversation.forked_from_id is None:
        return answer
    prompt = conversation.messages.open_ends().order_by("-id").first()
    ends = [end for end in (answer, prompt) if end is not None]
    return max(ends, key=lambda end: end.pk, default=None)


def path_to(message: Message) -> list[Message]:
    """Return all messages from the root of the tree to this one, that one included."""
    return list(Message.objects.raw(_WHOLE_PATH, [to_column(message.pk)]))


def split_system(history: list[tuple[str, str]]) -> tuple[str | None, list[tuple[str, str]]]:
    """
    Return what the system says first of all, and the rest.

    None where it says nothing anywhere: only then the site's own prompt is used.
    """
    said = sum(1 for _ in takewhile(lambda turn: turn[0] == Message.Role.SYSTEM, history))
    if not any(role == Message.Role.SYSTEM for role, _ in history):
        return None, history
    return "\n\n".join(text for _, text in history[:said]), history[said:]

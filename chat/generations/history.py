"""What the model is told: the path from a message up to the root of its tree."""

from itertools import takewhile

from django.db import connection

from chat.generations.attachments import IMAGE_CHARS, with_files
from chat.models import Conversation, Generation, Message
from chat.models.ids import from_column, to_column
from chat.text import images_of

# Recursive, so that one query fetches one branch, however large the tree.
_PATH = """
WITH RECURSIVE path(id, parent_id, role, text, attached, depth) AS (
    SELECT id, parent_id, role, text, attached, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT m.id, m.parent_id, m.role, m.text, m.attached, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
    WHERE path.depth < %s
)
SELECT role, text, attached, id FROM path WHERE depth > 0 ORDER BY depth
"""
# What the system says is nearly always at the root, however far up that is.
_SYSTEM = """
WITH RECURSIVE path(id, parent_id, role, depth) AS (
    SELECT id, parent_id, role, 0 FROM chat_message WHERE id = %s
  UNION ALL
    SELECT m.id, m.parent_id, m.role, path.depth + 1
    FROM chat_message m JOIN path ON m.id = path.parent_id
)
SELECT m.role, m.text, 0, m.id FROM path JOIN chat_message m ON m.id = path.id
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


def history_before(
    message: Message, *, limit_chars: int, images: bool = False
) -> list[tuple[str, str]]:
    """
    Return ``(role, text)`` of the messages above ``message``, oldest first, each with its files.

    The last one is the prompt, whole. With ``images`` these stand beside the texts, else
    they are named. Older ones are taken while they fit in
    ``limit_chars``; answers without text are left out. What the system says is
    always taken.
    """
    parent = message.parent if Message._meta.get_field("parent").is_cached(message) else None
    if parent is not None and parent.parent_id is None:
        text = parent.text
        if parent.attached:
            text = with_files(text, parent.pk, images=images)
        return [(parent.role, text)]  # The first turn: known without asking.
    with connection.cursor() as cursor:
        cursor.execute(_PATH, [to_column(message.pk), MAX_TURNS])
        rows = cursor.fetchall()
        if len(rows) == MAX_TURNS:
            cursor.execute(_SYSTEM, [to_column(message.pk), MAX_TURNS])
            rows = [*rows, *cursor.fetchall()]
    history: list[tuple[str, str]] = []
    for role, text, attached, pk in rows:
        if attached:
            room = max(limit_chars, 0) if history else None
            text = with_files(text, from_column(pk), images=images, limit=room)
        limit_chars -= len(text) + IMAGE_CHARS * len(images_of(text))
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


def is_withdrawn(answer: Message) -> bool:
    """Whether an answer was taken out of a queue. Without a query if its generation is loaded."""
    generation: Generation | None = getattr(answer, "generation", None)
    if generation is None:
        return False
    return generation.status == Generation.Status.STOPPED and generation.started_at is None


def where_it_hung(answer: Message) -> Message | None:
    """Return what the prompt of an answer followed; None if that began its branch."""
    assert answer.parent is not None  # Every answer has a prompt.
    return answer.parent.parent


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

"""A conversation on its way in, whatever form it came in: pure values."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chat.errors import BadRequest
from chat.events import encode_json

MAX_MESSAGES = 10_000
MAX_DEPTH = 4_000
MAX_TITLE = 200


@dataclass(slots=True, kw_only=True)
class Turn:
    """One message. ``parent`` is the place of another one, which comes before it."""

    role: str
    text: str
    parent: int | None
    created_at: datetime
    reasoning: str = ""
    generation: dict[str, Any] | None = None  # Fields of its row, for an answer.
    rating: dict[str, Any] | None = None  # The same.


@dataclass(slots=True, kw_only=True)
class Thread:
    """
    One conversation: a tree whose last turn ends the branch that is shown.

    ``source`` names where it comes from; ``skipped`` counts what was no text.
    """

    source: str
    title: str
    created_at: datetime
    updated_at: datetime
    turns: Sequence[Turn]
    skipped: int = 0
    model: str = ""
    agent: str = ""
    pinned: bool = False
    archived: bool = False
    tags: Sequence[str] = ()
    message_ids: Sequence[Any] = field(default=())  # Ours, if it was exported from here.

    @property
    def content_key(self) -> str:
        """Return the SHA-256 of what it says: the same again has the same key."""
        said = [[turn.role, turn.text, turn.parent] for turn in self.turns]
        return hashlib.sha256(encode_json([self.source, self.title, said]).encode()).hexdigest()


def check_tree(turns: Sequence[Turn]) -> None:
    """Raise BadRequest for what is no tree, or larger than one may be."""
    if not turns:
        raise BadRequest("There is no text in it.")
    if len(turns) > MAX_MESSAGES:
        raise BadRequest(f"It has {len(turns)} messages; at most {MAX_MESSAGES} are taken.")
    depths: list[int] = []
    for number, turn in enumerate(turns):
        if turn.parent is not None and not 0 <= turn.parent < number:
            raise BadRequest(f"messages.{number}: its parent does not stand before it.")
        depths.append(1 if turn.parent is None else depths[turn.parent] + 1)
    if max(depths) > MAX_DEPTH:
        raise BadRequest(f"A branch has {max(depths)} messages; at most {MAX_DEPTH} are taken.")


def title_of(text: str) -> str:
    """Return a title as it can be kept."""
    return " ".join(text.split())[:MAX_TITLE]


def moment(value: Any, default: datetime) -> datetime:
    """Return a time that was told in seconds or as text; never one that is still to come."""
    try:
        if isinstance(value, str):
            told = datetime.fromisoformat(value)
            told = told if told.tzinfo else told.replace(tzinfo=UTC)
        else:
            told = datetime.fromtimestamp(float(value), UTC)
        now = datetime.now(UTC)
        return told if datetime(1970, 1, 1, tzinfo=UTC) <= told <= now else min(default, now)
    except (TypeError, ValueError, OverflowError, OSError):
        return default

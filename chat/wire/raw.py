"""
The raw dialects: the text of an answer as event streams, without JSON around it.

Pure functions and encoders. A reader that comes back with ``Last-Event-ID``
gets the same blocks as one that never left: a block depends on nothing but
the log up to its event.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from chat.errors import ChatError
from chat.events import Event, EventKind
from chat.wire.failures import reason_of

RETRY_MS = 2000
# No blank line after it: some clients would take that for an event without data.
KEEP_ALIVE = ":\n"
DONE = "[DONE]"

# Nothing else: str.splitlines() knows more line ends than event streams do.
LINE_ENDS = re.compile(r"\r\n|\r|\n")
# What no frame should begin with: some clients lose it there. The last is the byte order mark.
LOST_IN_FRONT = "\r\n\ufeff"
ID = re.compile(r"([0-9a-f]{32})\.([0-9]{1,16}|end)")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader is in a run, which is a generation: an event's cursor, None past the end."""

    run: UUID
    cursor: int | None

    def __str__(self) -> str:
        return f"{self.run.hex}.{'end' if self.cursor is None else self.cursor}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Return the position that an id names, None for what is no id of these dialects."""
        found = ID.fullmatch(text)
        if found is None:
            return None
        return cls(UUID(found[1]), None if found[2] == "end" else int(found[2]))


class EventsEncoder:
    """
    Events of one generation to blocks of text, from its beginning, for one reader.

    The last character that ends no line is held back, with the line ends after
    it, until more comes: so nothing begins with a line end, which some clients
    lose there. Blocks up to ``after``, where the reader is, are left out.
    """

    keep_alive = KEEP_ALIVE

    def __init__(self, run: UUID, *, after: int = 0) -> None:
        self.run = run
        self._after = after
        self._held = ""

    def preamble(self) -> str:
        """
        Return the first block: how soon to come back, and from where, before there is any text.

        A client that has no id would ask again.
        """
        return f"retry: {RETRY_MS}\nid: {Position(self.run, self._after)}\n\n"

    def encode(self, batch: Iterable[Event]) -> str:
        return "".join(map(self._encode, batch))

    def failure(self, error: ChatError) -> str:
        """Return the block of an error of the reader's own. It has no id: resume is open."""
        return f"event: FatalError\n{data_lines(str(error))}\n"

    def _encode(self, event: Event) -> str:
        if event.kind is EventKind.DELTA:
            return self._text(self._take(event.data["text"]), event)
        return self._end(event) if event.kind.is_terminal else ""

    def _take(self, text: str) -> str:
        text = self._held + text
        size = max(0, len(text.rstrip(LOST_IN_FRONT)) - 1)
        if text[:size] == DONE:
            size -= 1
        self._held = text[size:]
        return text[:size]

    def _text(self, text: str, event: Event) -> str:
        if not text or event.cursor <= self._after:
            return ""
        return self._block(text, event.cursor)

    def _end(self, event: Event) -> str:
        block = self._text(self._held, event)
        if reason := reason_of(event):
            return block + self._block(reason.message, None, kind="FatalError")
        return block + self._block("", None, kind="done")

    def _block(self, text: str, cursor: int | None, *, kind: str = "") -> str:
        # The id comes last: some clients take it before the data has arrived.
        event = f"event: {kind}\n" if kind else ""
        return f"{event}{data_lines(text)}id: {Position(self.run, cursor)}\n\n"


class DoneEncoder(EventsEncoder):
    """The same for clients that know no kinds of events: errors are text, the end is ``[DONE]``."""

    def failure(self, error: ChatError) -> str:
        """Return nothing: the client comes back by itself, and the answer is not over."""
        return ""

    def _end(self, event: Event) -> str:
        text = self._held
        if reason := reason_of(event):
            text += f"\n\n[error] {reason.message}" if text else f"[error] {reason.message}"
        return self._text(text, event) + self._block(DONE, None)


def over(position: Position | None) -> str:
    """Return the end alone, for who is at a position from which there is nothing to be had."""
    last_id = f"id: {Position(position.run, None)}\n" if position else ""
    return f"event: done\ndata: \n{last_id}\n"


def data_lines(text: str) -> str:
    """Return a text as ``data:`` lines; its line ends of any kind become theirs."""
    return "".join(f"data: {line}\n" for line in LINE_ENDS.split(text))


def plain_text(batch: Iterable[Event]) -> str:
    """Return what a batch adds to the answer."""
    return "".join(event.data["text"] for event in batch if event.kind is EventKind.DELTA)

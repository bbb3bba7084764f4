"""
The judge: what readers saw, what was acknowledged and what is stored must be one story.

`check()` knows nothing of how a history came about. Whatever a test did to the
site, it ends here, and every finding is a defect.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.guarantees.readers import TERMINAL, Event


class Finding(NamedTuple):
    kind: str
    generation: str
    words: str


@dataclass
class Reading:
    """One attachment of a reader: from where it asked to read, and what it then got."""

    reader: str
    generation: str
    after: int
    events: list[Event] = field(default_factory=list)


class Ack(NamedTuple):
    """A prompt that somebody was told is accepted."""

    client: str
    key: str
    prompt: str
    generation: str


class Asked(NamedTuple):
    """A request as the model server saw it. Times are of one clock, as in `first_shown`."""

    prompt: str
    at: float


@dataclass
class Row:
    """A generation as it is stored in the end, with its prompt, its message and its log."""

    generation: str
    status: str
    cursor: int
    prompt: str
    text: str
    events: list[Event] = field(default_factory=list)  # None are kept of an old or lost log.


@dataclass
class History:
    readings: list[Reading] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    # When a reader first had text of a generation.
    first_shown: dict[str, float] = field(default_factory=dict)
    # What clients could not explain, in their words: (generation, words).
    complaints: list[tuple[str, str]] = field(default_factory=list)

    def saw(self, reading: Reading, event: Event, at: float) -> None:
        reading.events.append(event)
        if event.kind in ("delta", "reasoning"):
            self.first_shown.setdefault(reading.generation, at)


def check(history: History) -> list[Finding]:
    """Return everything in a history that must not happen, nothing if all is well."""
    rows = {row.generation: row for row in history.rows}
    found = [Finding("complaint", *complaint) for complaint in history.complaints]
    for reading in history.readings:
        found += _order(reading)
    found += _same_bytes(history)
    found += _acks(history, rows)
    found += _asked_again(history, rows)
    for generation, read in _read(history).items():
        found += _one_end(generation, read)
        seen = {event.cursor or 0: event for event in reversed(read)}
        if generation in rows:
            found += _durable(rows[generation], seen)
        elif generation not in {ack.generation for ack in history.acks}:
            found.append(Finding("not-durable", generation, "seen, and not stored at all"))
    for row in history.rows:
        found += _stored(row)
    return list(dict.fromkeys(found))


def _order(reading: Reading) -> Iterator[Finding]:
    newest = reading.after
    for event in reading.events:
        cursor = event.cursor or 0
        where = f"{reading.reader}: {cursor} after {newest}"
        if cursor <= newest:
            yield Finding("repeat", reading.generation, where)
        elif cursor > newest + 1:
            yield Finding("gap", reading.generation, where)
        newest = max(newest, cursor)


def _read(history: History) -> dict[str, list[Event]]:
    """Return all that anybody saw of each generation, in the order of the readings."""
    read: dict[str, list[Event]] = {}
    for reading in history.readings:
        read.setdefault(reading.generation, []).extend(reading.events)
    return read


def _same_bytes(history: History) -> Iterator[Finding]:
    known: dict[tuple[str, int], tuple[str, tuple[str, str]]] = {}
    stored = [Reading("database", row.generation, 0, row.events) for row in history.rows]
    for reading in history.readings + stored:
        for event in reading.events:
            place = (reading.generation, event.cursor or 0)
            other, theirs = known.setdefault(place, (reading.reader, (event.kind, event.data)))
            if theirs != (event.kind, event.data):
                words = f"{place[1]} for {other}: {theirs}; for {reading.reader}: {event[1:]}"
                yield Finding("mismatch", reading.generation, words)


def _one_end(generation: str, events: list[Event]) -> Iterator[Finding]:
    ends = sorted({event.cursor or 0 for event in events if event.is_terminal})
    newest = max((event.cursor or 0 for event in events), default=0)
    if len(ends) > 1:
        yield Finding("two-ends", generation, f"at {ends}")
    if ends and newest > ends[0]:
        yield Finding("after-end", generation, f"{newest} after the end at {ends[0]}")


def _acks(history: History, rows: dict[str, Row]) -> Iterator[Finding]:
    by_key: dict[tuple[str, str], str] = {}
    for ack in history.acks:
        row = rows.get(ack.generation)
        if row is None or row.prompt != ack.prompt:
            stored = "nothing" if row is None else repr(row.prompt)
            yield Finding("lost-prompt", ack.generation, f"{ack.prompt!r}; stored: {stored}")
        first = by_key.setdefault((ack.client, ack.key), ack.generation)
        if first != ack.generation:
            yield Finding("answered-twice", ack.generation, f"{ack.prompt!r}, also {first}")
    for prompt, number in Counter(row.prompt for row in history.rows).items():
        if number > 1 and any(ack.prompt == prompt for ack in history.acks):
            yield Finding("answered-twice", "", f"{prompt!r} is stored {number} times")


def _asked_again(history: History, rows: dict[str, Row]) -> Iterator[Finding]:
    shown = {
        rows[generation].prompt: at
        for generation, at in history.first_shown.items()
        if generation in rows
    }
    for asked in history.asked:
        if asked.at > shown.get(asked.prompt, asked.at):
            late = asked.at - shown[asked.prompt]
            yield Finding("asked-again", "", f"{asked.prompt!r}, {late:.2f} s after a delta")


def _durable(row: Row, seen: dict[int, Event]) -> Iterator[Finding]:
    if row.events:
        kept = {event.cursor for event in row.events}
        if lost := sorted(set(seen) - kept):
            yield Finding("not-durable", row.generation, f"seen, not stored: {lost}")
        return
    # Its log has expired: what was seen must be in the message.
    text = _text(seen[cursor] for cursor in sorted(seen))
    if seen and (text not in row.text or max(seen) > row.cursor):
        kinds = [seen[cursor].kind for cursor in sorted(seen)]
        words = f"seen {text!r}, {kinds}; stored {row.text!r}, {row.status} at {row.cursor}"
        yield Finding("not-durable", row.generation, words)


def _stored(row: Row) -> Iterator[Finding]:
    if row.status not in TERMINAL:
        yield Finding("not-ended", row.generation, row.status)
        return
    if not row.events:
        return
    cursors = [event.cursor for event in row.events]
    if cursors != list(range(1, len(cursors) + 1)):
        yield Finding("gap", row.generation, f"stored: {cursors}")
    yield from _one_end(row.generation, row.events)
    end, text = row.events[-1], _text(row.events)
    if (end.kind, end.cursor) != (row.status, row.cursor):
        words = f"the log ends {end.kind} at {end.cursor}, the row {row.status} at {row.cursor}"
        yield Finding("wrong-end", row.generation, words)
    if text != row.text:
        yield Finding("wrong-text", row.generation, f"log {text!r}, message {row.text!r}")
    claim = (end.fields.get("length"), end.fields.get("sha256"))
    if end.is_terminal and claim != (len(text), hashlib.sha256(text.encode()).hexdigest()):
        yield Finding("wrong-end", row.generation, f"{claim} is not that of {text!r}")


def _text(events: Iterable[Event]) -> str:
    return "".join(json.loads(event.data)["text"] for event in events if event.kind == "delta")

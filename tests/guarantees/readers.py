"""How the three transports carry events, read byte by byte: nothing of the product is used."""

import json
import re
from typing import Any, NamedTuple

_decoder = json.JSONDecoder()
_event_head = re.compile(r'[,\[]\{"cursor":(\d+),"kind":"([a-z]+)","data":')

TERMINAL = {"done", "stopped", "failed", "interrupted"}


class Event(NamedTuple):
    """One event. ``data`` is the JSON text as it stood on the wire."""

    cursor: int | None
    kind: str
    data: str

    @property
    def fields(self) -> dict[str, Any]:
        return json.loads(self.data)

    @property
    def is_terminal(self) -> bool:
        return self.kind in TERMINAL


def cut_events(raw: str) -> list[Event]:
    """Cut the events out of an ``events`` frame or a long-poll body, their data untouched."""
    found = []
    position = raw.index('"events":') + len('"events":')
    while head := _event_head.match(raw, position):
        _, position = _decoder.raw_decode(raw, head.end())
        found.append(Event(int(head[1]), head[2], raw[head.end() : position]))
        assert raw[position] == "}", raw[position : position + 20]
        position += 1
    return found


def text_of(events: list[Event]) -> str:
    return "".join(event.fields["text"] for event in events if event.kind == "delta")


class EventStreamParser:
    """The HTML standard's algorithm for event streams. Its lines end in CR, LF or both."""

    def __init__(self) -> None:
        self.comments: list[str] = []
        self.last_id = ""
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        *lines, self._rest = re.split(rb"\r\n|\r(?!\n|\Z)|\n", self._rest + data)
        found = []
        for line in lines:
            if line:
                self._field(line.decode())
            elif event := self._dispatch():
                found.append(event)
        return found

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments.append(value)
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self.last_id = value

    def _dispatch(self) -> Event | None:
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        if not data:
            return None
        cursor = int(self.last_id) if re.fullmatch("[0-9]{1,16}", self.last_id) else None
        return Event(cursor, kind, "\n".join(data))

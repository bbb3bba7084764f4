"""Bytes of an event stream to its events, by the WHATWG rules; no I/O."""

from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 33_554_432


class LineTooLong(ValueError):
    """Raised when a line passes ``MAX_LINE_BYTES`` without an end."""


class ServerEvent(NamedTuple):
    """One dispatched event. ``data`` stays bytes: the JSON parser decodes it."""

    event: str
    data: bytes
    id: str


class EventStreamParser:
    """
    Split an event stream into events, however its bytes are cut.

    Lines end with LF, CR or CRLF and with nothing else, so U+2028, U+0085 and a
    character cut in two between reads stay intact. One addition to the rules:
    a field named ``error``, which old llama.cpp servers send, counts as
    ``event: error`` with that data. ``stray_lines`` counts what no server
    following the rules sends, an HTML page for instance.
    """

    def __init__(self) -> None:
        self.stray_lines = 0
        self.retry: int | None = None
        self._pending: list[bytes] = []  # The line that has not ended yet.
        self._pending_size = 0
        self._skip_lf = False
        self._at_start = True
        self._data: list[bytes] = []
        self._event = b""
        self._id = b""

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Return the events that these bytes complete. Raise LineTooLong."""
        if self._at_start and not (data := self._without_bom(data)):
            return []
        if self._skip_lf and data:
            self._skip_lf = False
            if data[0] == 10:
                data = data[1:]
        if b"\r" in data:
            # A CR ends its line at once; an LF that follows it, even in the next read, is its.
            self._skip_lf = data[-1] == 13
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:
            self._hold(data)
            return []
        lines = data.split(b"\n")
        if self._pending:
            # Joined only here: a long line that comes in many reads is copied once.
            lines[0] = b"".join(self._pending) + lines[0]
            self._pending.clear()
            self._pending_size = 0
        if last := lines.pop():
            self._hold(last)
        return self._take(lines)

    def _hold(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size > MAX_LINE_BYTES:
            raise LineTooLong

    def _without_bom(self, data: bytes) -> bytes:
        data = b"".join(self._pending) + data
        self._pending.clear()
        if len(data) < len(BOM) and BOM.startswith(data):
            self._pending = [data] if data else []
            return b""
        self._at_start = False
        return data.removeprefix(BOM)

    def _take(self, lines: list[bytes]) -> list[ServerEvent]:
        events = []
        for line in lines:
            if line[:5] == b"data:":  # Nearly every line that is not blank.
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line:
                self._field(line)
            elif self._data:
                events.append(self._dispatch())
            else:
                self._event = b""
        return events

    def _dispatch(self) -> ServerEvent:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        event = self._event.decode(errors="replace") if self._event else "message"
        self._data.clear()
        self._event = b""
        return ServerEvent(event, data, self._id.decode(errors="replace") if self._id else "")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value
        elif name == b"error":
            self._event = b"error"
            self._data.append(value)
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry":
            if value.isdigit():
                self.retry = int(value)
        elif name:
            self.stray_lines += 1

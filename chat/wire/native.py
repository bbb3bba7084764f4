"""
The native dialect, version 1: WebSocket frames, Server-Sent Events, long-poll bodies.

Pure functions from events to text. An event's data is encoded once, in
`Event.json`; each form wraps that encoding, once per event however many read it.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from chat.errors import ChatError, NotAuthenticated
from chat.events import Event, encode_json

PING = ": ping\n\n"

SSE_HEADERS = {
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
    "Content-Encoding": "identity",  # Tells compressing middleware and proxies to keep off.
}


def to_json(event: Event) -> str:
    """Return ``{"cursor": …, "kind": …, "data": …}``."""
    if "native.json" not in event.encoded:
        event.encoded["native.json"] = (
            f'{{"cursor":{event.cursor},"kind":"{event.kind}","data":{event.json}}}'
        )
    return event.encoded["native.json"]


def to_sse(event: Event) -> str:
    """Return one block. The id comes last: some clients take it before the data has arrived."""
    if "native.sse" not in event.encoded:
        event.encoded["native.sse"] = (
            f"event: {event.kind}\ndata: {event.json}\nid: {event.cursor}\n\n"
        )
    return event.encoded["native.sse"]


class SseEncoder:
    """Events to blocks. There is nothing to keep of them: every reader gets the same."""

    keep_alive = PING

    def encode(self, batch: Iterable[Event]) -> str:
        return "".join(map(to_sse, batch))

    def failure(self, error: ChatError) -> str:
        """Return the block that reports an error; who may not read any more gets none."""
        return "" if isinstance(error, NotAuthenticated) else sse_error(error.as_dict())


def events_frame(generation_id: UUID | str, batch: Sequence[Event]) -> str:
    """Return the ``events`` frame of one batch."""
    events = ",".join(map(to_json, batch))
    return f'{{"type":"events","generation":"{generation_id}","events":[{events}]}}'


def poll_body(batch: Sequence[Event], *, cursor: int, terminal: bool) -> str:
    """Return the body of a long-poll answer: a batch and where it leaves the reader."""
    events = ",".join(map(to_json, batch))
    end = "true" if terminal else "false"
    return f'{{"events":[{events}],"cursor":{cursor},"terminal":{end}}}'


def frame(kind: str, **fields: Any) -> str:
    """Return any other frame."""
    return encode_json({"type": kind, **fields})


def sse_error(error: dict[str, Any]) -> str:
    """Return the block that reports an error after the first byte. It has no id: resume is open."""
    return f"event: error\ndata: {encode_json(error)}\n\n"


def error_body(error: dict[str, Any]) -> str:
    """Return the JSON body of an error answer."""
    return encode_json({"error": error})

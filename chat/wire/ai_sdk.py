"""
The AI SDK dialect: UI message streams, version 1, as Server-Sent Events or WebSocket frames.

Pure functions from events to text. A stream is always read from its first
event, so its chunks are the same, and have the same numbers, for every reader
and on every replay. No chunk has a type, nor a finish reason, that a version of
the client since 5 does not know: an unknown one ends its stream.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chat.errors import ChatError
from chat.events import Event, EventKind, encode_json

KEEP_ALIVE = ": keep-alive\n\n"
DONE = "data: [DONE]\n\n"
HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}

FINISH_REASONS = {"stop", "length", "content-filter", "tool-calls", "error", "other"}
# What providers say, in this dialect's words. Any other reason is "other".
SYNONYMS = {
    "": "stop",
    "content_filter": "content-filter",
    "safety": "content-filter",
    "max_tokens": "length",
    "max_length": "length",
    "budget": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "eos": "stop",
    "end_turn": "stop",
}
PARTS = {EventKind.DELTA: "text", EventKind.REASONING: "reasoning"}
# Steps that are over when they are told: they do not stay in the message.
PASSING = {"retry"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where an answer belongs: what its events do not say."""

    conversation: str
    generation: str


class ChunkEncoder:
    """
    Events of one generation, from the first on, to the chunks of its stream, each a JSON object.

    Each event is encoded once, however many read it; only which part of the
    message is open is a reader's own.
    """

    def __init__(self, head: Head) -> None:
        self._head = head
        self._part = ""  # What of it is open: text or reasoning.
        self._id = ""
        self._parts = 0
        self._is_in_step = False

    def encode(self, batch: Iterable[Event]) -> list[str]:
        """Return the chunks of a batch, in order."""
        return [chunk for event in batch for chunk in self._encode(event)]

    def _encode(self, event: Event) -> Iterator[str]:
        if part := PARTS.get(event.kind):
            if part != self._part:
                yield from self._open(part)
            yield f'{{"type":"{part}-delta","id":"{self._id}",{_once(event, _delta)}}}'
            return
        if event.kind.is_terminal:
            yield from self._end_part()
            if event.kind is EventKind.DONE and self._is_in_step:
                yield '{"type":"finish-step"}'
        yield _once(event, self._whole)

    def _open(self, part: str) -> Iterator[str]:
        yield from self._end_part()
        if not self._is_in_step:
            self._is_in_step = True
            yield '{"type":"start-step"}'
        self._parts += 1
        self._part, self._id = part, f"{part}-{self._parts}"
        yield f'{{"type":"{part}-start","id":"{self._id}"}}'

    def _end_part(self) -> Iterator[str]:
        if self._part:
            yield f'{{"type":"{self._part}-end","id":"{self._id}"}}'
            self._part = ""

    def _whole(self, event: Event) -> str:
        """Return the one chunk of an event that is no piece of a part."""
        match event.kind:
            case EventKind.STARTED:
                return _chunk(
                    "start",
                    messageId=event.data["message"],
                    messageMetadata=self._place() | {"model": event.data["model"]},
                )
            case EventKind.STEP:
                return _step(event)
            case EventKind.NOTICE:
                return f'{{"type":"data-notice","data":{event.json},"transient":true}}'
            case EventKind.DONE:
                return _chunk(
                    "finish",
                    finishReason=finish_reason(event),
                    messageMetadata=self._place() | {"usage": usage_of(event)},
                )
            case EventKind.FAILED:
                return error_chunk(str(event.data["message"]))
            case _:
                return _chunk("abort", reason=str(event.kind))

    def _place(self) -> dict[str, Any]:
        return {"conversation": self._head.conversation, "generation": self._head.generation}


class StreamEncoder:
    """The chunks as Server-Sent Events. See ChunkEncoder."""

    keep_alive = KEEP_ALIVE

    def __init__(self, head: Head) -> None:
        self._chunks = ChunkEncoder(head)

    def encode(self, batch: Iterable[Event]) -> str:
        """Return the blocks of a batch, the end of the stream after a terminal event."""
        events = list(batch)
        text = "".join(map(_block, self._chunks.encode(events)))
        return text + DONE if events and events[-1].kind.is_terminal else text

    @staticmethod
    def failure(error: ChatError) -> str:
        """Return what says why the stream ends before its answer."""
        return _block(error_chunk(str(error))) + DONE


class FrameEncoder:
    """
    The chunks as WebSocket frames that answer one request. See ChunkEncoder.

    They are numbered from 0; those up to ``seen`` are left out.
    """

    def __init__(self, head: Head, request_id: str, *, seen: int = -1) -> None:
        self._chunks = ChunkEncoder(head)
        self._before = f'{{"type":"chunk","requestId":{encode_json(request_id)},"sequence":'
        self._next = 0
        self._seen = seen

    def encode(self, batch: Iterable[Event]) -> list[str]:
        """Return the frames of a batch, without the one that ends the answer."""
        frames = []
        for chunk in self._chunks.encode(batch):
            if self._next > self._seen:
                frames.append(f'{self._before}{self._next},"chunk":{chunk}}}')
            self._next += 1
        return frames


def frame(kind: str, request_id: str, **fields: Any) -> str:
    """Return any other frame."""
    return encode_json({"type": kind, "requestId": request_id, **fields})


def error_chunk(text: str) -> str:
    """Return the chunk that reports a failure; a client takes nothing after it."""
    return _chunk("error", errorText=text)


def finish_reason(end: Event) -> str:
    """Return why an answer ended, in a word that all versions of the client know."""
    reason = str(end.data.get("finish_reason") or "").lower()
    return reason if reason in FINISH_REASONS else SYNONYMS.get(reason, "other")


def usage_of(end: Event) -> dict[str, int] | None:
    """Return the counts of an answer, None where the model gave none."""
    usage = end.data.get("usage")
    if not usage:
        return None
    return {
        "inputTokens": usage["input_tokens"],
        "outputTokens": usage["output_tokens"],
        "totalTokens": usage["total_tokens"],
    }


def _once(event: Event, encode: Any) -> str:
    if "ai_sdk" not in event.encoded:
        event.encoded["ai_sdk"] = encode(event)
    return event.encoded["ai_sdk"]


def _delta(event: Event) -> str:
    return f'"delta":{encode_json(event.data["text"])}'


def _step(event: Event) -> str:
    # With an id that stays the same, what a step has become replaces what it was.
    name = str(event.data["name"])
    number = event.data.get("sequence")
    step_id = name if number is None else f"{name}-{number}"
    passing = ',"transient":true' if name in PASSING else ""
    return f'{{"type":"data-step","id":{encode_json(step_id)},"data":{event.json}{passing}}}'


def _chunk(kind: str, **fields: Any) -> str:
    return encode_json({"type": kind, **fields})


def _block(chunk: str) -> str:
    return f"data: {chunk}\n\n"

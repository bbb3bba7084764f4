"""
The AI SDK's data stream, version 1: what its client spoke before version 5.

Pure functions from events to text: a line each, a letter before its JSON. A
failure ends the client's stream, a reason to finish that it does not know does
not.
"""

from collections.abc import Iterable
from typing import Any

from chat.errors import ChatError
from chat.events import Event, EventKind, encode_json
from chat.wire.ai_sdk import finish_reason
from chat.wire.failures import reason_of

HEADERS = {"x-vercel-ai-data-stream": "v1"}


class LineEncoder:
    """Events of one generation to the lines of its stream; each is encoded once for all readers."""

    keep_alive = "2:[]\n"  # No data: this form has no comments.

    def encode(self, batch: Iterable[Event]) -> str:
        """Return the lines of a batch."""
        return "".join(map(_once, batch))

    @staticmethod
    def failure(error: ChatError) -> str:
        """Return the line that says why the stream ends before its answer."""
        return _line("3", str(error))


def _once(event: Event) -> str:
    if "ai_data" not in event.encoded:
        event.encoded["ai_data"] = _encode(event)
    return event.encoded["ai_data"]


def _encode(event: Event) -> str:
    match event.kind:
        case EventKind.STARTED:
            return _line("f", {"messageId": event.data["message"]})
        case EventKind.DELTA:
            return _line("0", event.data["text"])
        case EventKind.REASONING:
            return _line("g", event.data["text"])
        case EventKind.STEP:
            return f'2:[{{"type":"step","step":{event.json}}}]\n'
        case EventKind.NOTICE:
            return f'2:[{{"type":"notice","notice":{event.json}}}]\n'
        case EventKind.FAILED | EventKind.INTERRUPTED:
            reason = reason_of(event)
            assert reason is not None  # Of these two there is one.
            return _line("3", reason.message)
        case _:
            return _end(event)


def _end(event: Event) -> str:
    usage = event.data.get("usage") or {}
    counts = {
        "promptTokens": usage.get("input_tokens"),
        "completionTokens": usage.get("output_tokens"),
    }
    end = {"finishReason": finish_reason(event), "usage": counts}
    return _line("e", end | {"isContinued": False}) + _line("d", end)


def _line(code: str, value: Any) -> str:
    return f"{code}:{encode_json(value)}\n"

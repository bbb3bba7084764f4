"""
The OpenAI dialect: chat completions, streamed and whole, models, errors.

Pure functions from events to text. No block has an ``id:`` or ``retry:``: the
official client cannot read a comment that comes after them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from chat.errors import BadRequest, ChatError
from chat.events import Event, EventKind, encode_json
from chat.wire.failures import reason_of

KEEP_ALIVE = ": keep-alive\n\n"
DONE = "data: [DONE]\n\n"
# Two of the reads in which Flowno's client takes a response.
PADDED_LENGTH = 2048

FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
# What other providers say, in this dialect's words. Any other end is a natural one.
SYNONYMS = {
    "max_tokens": "length",
    "max_length": "length",
    "budget": "length",
    "safety": "content_filter",
}
CODES = {
    "not_authenticated": "invalid_api_key",
    "unknown_model": "model_not_found",
    "unknown_agent": "model_not_found",
    "upstream_model_not_found": "model_not_found",
    "context_too_long": "context_length_exceeded",
    "budget_spent": "insufficient_quota",
    "rate_limited": "rate_limit_exceeded",
    "upstream_rate_limited": "rate_limit_exceeded",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is the same in every chunk of an answer."""

    id: str
    created: int
    model: str
    include_usage: bool = False

    @property
    def json(self) -> str:
        return (
            f'"id":{encode_json(self.id)},"object":"chat.completion.chunk",'
            f'"created":{self.created},"model":{encode_json(self.model)},"system_fingerprint":null'
        )


class ChunkEncoder:
    """
    Events of one generation to the blocks of its stream.

    Each event is encoded once, however many read it; only the head around it
    is a reader's own.
    """

    keep_alive = KEEP_ALIVE

    def __init__(self, head: Head) -> None:
        self._head = head
        self._before = f"data: {{{head.json},"
        self._after = ',"usage":null}\n\n' if head.include_usage else "}\n\n"

    def encode(self, batch: Iterable[Event]) -> str:
        """Return the blocks of a batch, the end of the stream after a terminal event."""
        return "".join(map(self._encode, batch))

    def failure(self, error: ChatError) -> str:
        return error_block(failure_from(error))

    def _encode(self, event: Event) -> str:
        if event.kind in {EventKind.FAILED, EventKind.INTERRUPTED}:
            return error_block(failure_of(event))
        choices = _choices(event)
        block = f"{self._before}{choices}{self._after}" if choices else ""
        return block + self._end(event) if event.kind.is_terminal else block

    def _end(self, event: Event) -> str:
        if not self._head.include_usage:
            return DONE
        usage = encode_json(usage_of(event))
        return f'{self._before}"choices":[],"usage":{usage}}}\n\n{DONE}'


def _choices(event: Event) -> str:
    """Return what an event says, without what the stream it is sent in adds; maybe nothing."""
    if "openai" not in event.encoded:
        delta = _delta(event)
        if delta is None:
            event.encoded["openai"] = ""
        else:
            ended = event.kind.is_terminal
            choice = {"index": 0, "delta": delta, "logprobs": None}
            choice["finish_reason"] = finish_reason(event) if ended else None
            event.encoded["openai"] = f'"choices":[{encode_json(choice)}]'
    return event.encoded["openai"]


def _delta(event: Event) -> dict[str, Any] | None:
    match event.kind:
        case EventKind.STARTED:
            return {"role": "assistant", "content": ""}
        case EventKind.DELTA:
            return {"content": event.data["text"]}
        case EventKind.REASONING:
            return {"content": "", "reasoning_content": event.data["text"]}  # Flowno needs both.
        case EventKind.DONE | EventKind.STOPPED:
            return {}
        case _:
            return None


def completion(head: Head, events: Sequence[Event]) -> dict[str, Any]:
    """Return a whole answer. Its log has not ended as failed or interrupted."""
    end = events[-1]
    message = {"role": "assistant", "content": _text(events, EventKind.DELTA), "refusal": None}
    if reasoning := _text(events, EventKind.REASONING):
        message["reasoning_content"] = reasoning
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(end),
    }
    return {
        "id": head.id,
        "object": "chat.completion",
        "created": head.created,
        "model": head.model,
        "system_fingerprint": None,
        "choices": [choice],
        "usage": usage_of(end),
    }


def _text(events: Sequence[Event], kind: EventKind) -> str:
    return "".join(event.data["text"] for event in events if event.kind is kind)


def finish_reason(end: Event) -> str:
    """Return why an answer ended, in one of the dialect's five words."""
    reason = str(end.data.get("finish_reason") or "stop").lower()
    return reason if reason in FINISH_REASONS else SYNONYMS.get(reason, "stop")


def usage_of(end: Event) -> dict[str, int] | None:
    """Return the counts of an answer, None where the model gave none."""
    usage = end.data.get("usage")
    if not usage:
        return None
    return {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }


def model(name: str, *, owned_by: str) -> dict[str, Any]:
    """Return an entry of the list of models. When it was made is not known: 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": owned_by}


def pad(blocks: str) -> str:
    """
    Return the blocks with a comment before them, so long that the two fill several reads.

    A client that takes one HTTP chunk per read, however many have arrived,
    loses at the end what it has fallen behind by; with chunks longer than its
    reads it never does.
    """
    missing = PADDED_LENGTH - len(blocks)
    return f": {' ' * missing}\n\n{blocks}" if missing > 0 else blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as this dialect tells it, and the status it has before anything is streamed."""

    status: int
    code: str
    message: str
    param: str | None = None

    @property
    def body(self) -> str:
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        if self.status == 429:
            kind = "rate_limit_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return encode_json({"error": error})


def failure_from(error: ChatError) -> Failure:
    """Return one of the site's errors in this dialect."""
    param = error.param if isinstance(error, BadRequest) else None
    if error.code in {"unknown_model", "unknown_agent"}:
        param = "model"
    return _failure(error.code, str(error), status=error.status, param=param)


def failure_of(end: Event) -> Failure:
    """Return why an answer failed or was interrupted."""
    reason = reason_of(end)
    assert reason is not None  # Asked of nothing else.
    return _failure(reason.code, reason.message, status=reason.status)


def error_block(failure: Failure) -> str:
    """Return the block that reports a failure in the stream, after which nothing comes."""
    return f"data: {failure.body}\n\n"


def _failure(code: str, message: str, *, status: int, param: str | None = None) -> Failure:
    code = CODES.get(code, code)
    status = 404 if code == "model_not_found" else status
    return Failure(status=status, code=code, message=message, param=param)

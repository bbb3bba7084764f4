"""The JSON of a streamed chat completion to text, reasoning, finish reason and usage; no I/O."""

import json
import re
from typing import Any

import orjson
from langchain_core.messages.ai import UsageMetadata

from chat.errors import ModelError, UpstreamProtocol
from chat.llm.failures import from_error_object, logger, printable

REASONING = ("reasoning_content", "reasoning", "thinking")
HIGH, LOW = "\ud800-\udbff", "\udc00-\udfff"
PAIR = re.compile(f"[{HIGH}][{LOW}]")
LONE = re.compile(f"[{HIGH}{LOW}]")


class Text:
    """
    Parts of one text, given out joined and storable.

    Halves of a surrogate pair are put together again, also when they come in
    different reads. A lone half and NUL, which no database column holds,
    become U+FFFD.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.may_hold_surrogates = False
        self._half = ""

    def take(self) -> str:
        """Return what has been added since the last call."""
        text = "".join(self.parts)
        self.parts.clear()
        if "\0" in text:
            text = text.replace("\0", "\ufffd")
        return self._mend(text) if self.may_hold_surrogates else text

    def take_rest(self) -> str:
        """Return what is left at the end, when no other half can come."""
        text, self._half = LONE.sub("\ufffd", self._half), ""
        return text

    def _mend(self, text: str) -> str:
        text = self._half + text
        self._half = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        text = PAIR.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
        return LONE.sub("\ufffd", text)


class Deltas:
    """
    What the chunks of one answer said so far.

    ``add()`` raises the ModelError that a chunk reports, and UpstreamProtocol
    for one that is not a chunk. Unknown fields are ignored.
    """

    def __init__(self) -> None:
        self.text = Text()
        self.reasoning = Text()
        self.finish_reason: str | None = None
        self.usage: UsageMetadata | None = None
        self.ended = False  # [DONE] came, which alone is no proof of success.

    def add(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = self._load_leniently(data)
        try:
            self._add(chunk)
        except (AttributeError, IndexError, KeyError, TypeError) as exc:
            logger.warning("Not a chunk of a chat completion: %s", printable(repr(data[:2000])))
            raise UpstreamProtocol from exc

    def read_error(self, data: bytes) -> ModelError:
        """Return the error that an ``error`` event carries."""
        try:
            error = orjson.loads(data)
        except orjson.JSONDecodeError:
            error = data.decode(errors="replace")
        return from_error_object(error.get("error", error) if isinstance(error, dict) else error)

    def _add(self, chunk: dict[str, Any]) -> None:
        if choices := chunk.get("choices"):
            choice = choices[0]
            if delta := choice.get("delta"):
                if content := delta.get("content"):
                    self.text.parts.append(content if type(content) is str else _joined(content))
                if not content or len(delta) > 1:
                    self._add_rarer(delta)
            if reason := choice.get("finish_reason"):
                self.finish_reason = str(reason)[:50]
        if error := chunk.get("error"):
            raise from_error_object(error)
        if usage := chunk.get("usage"):
            self.usage = read_usage(usage)
        if groq := chunk.get("x_groq"):
            self._add_groq(groq)

    def _add_rarer(self, delta: dict[str, Any]) -> None:
        for name in REASONING:
            if text := delta.get(name):
                self.reasoning.parts.append(text if type(text) is str else _joined(text))
                break
        if refusal := delta.get("refusal"):
            self.text.parts.append(refusal if type(refusal) is str else _joined(refusal))

    def _add_groq(self, groq: dict[str, Any]) -> None:
        if error := groq.get("error"):
            raise from_error_object(error)
        if usage := groq.get("usage"):
            self.usage = read_usage(usage)

    def _load_leniently(self, data: bytes) -> Any:
        # orjson refuses lone surrogates, NaN and bytes that are not UTF-8; some servers send them.
        try:
            chunk = json.loads(data.decode("utf-8", errors="replace"))
        except (ValueError, RecursionError) as exc:
            logger.warning("Not JSON: %s", printable(repr(data[:2000])))
            raise UpstreamProtocol from exc
        self.text.may_hold_surrogates = self.reasoning.may_hold_surrogates = True
        return chunk


def _joined(parts: list[dict[str, Any]]) -> str:
    """Return the text of a content that came as a list of parts."""
    if not isinstance(parts, list):
        raise TypeError
    return "".join(part.get("text") or "" for part in parts)


def read_usage(usage: Any) -> UsageMetadata | None:
    """Return the counts of a usage object, or None when one of them is no count."""
    given = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not all(type(count) is int and 0 <= count < 2**53 for count in given):
        return None
    total = usage.get("total_tokens")
    if total is None:
        total = sum(given)
    if type(total) is not int or not 0 <= total < 2**53:
        return None
    return UsageMetadata(input_tokens=given[0], output_tokens=given[1], total_tokens=total)

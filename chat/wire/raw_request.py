"""What a client of the raw dialects may ask, as checked values."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictStr

from chat.text import clean_text
from chat.wire.forms import Lenient, parse_body, parse_query, wrong

ROLES = {"developer": "system", "tool": "user", "function": "user"}


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("an empty question cannot be answered")
    return clean_text(text)


class Question(Lenient):
    """The body of ``POST /nostream`` and of the streams."""

    question: Annotated[StrictStr, AfterValidator(_said)]


class Msg(Lenient):
    """The address of ``GET /ask``."""

    msg: Annotated[StrictStr, AfterValidator(_said)]


class ToldMessage(Lenient):
    """One of a conversation's messages; what is not text in it is passed over."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function", "data"]
    content: StrictStr | list[Any] | None = None
    parts: list[Any] | None = None

    @property
    def turn(self) -> tuple[str, str]:
        content = self.parts or [] if self.content is None else self.content
        if not isinstance(content, str):
            content = "".join(map(_text_of, content))
        return ROLES.get(self.role, self.role), clean_text(content)


class Told(Lenient):
    """The body of ``POST /ask``."""

    messages: Annotated[list[ToldMessage], Field(min_length=1)]


def parse_question(raw: bytes) -> str:
    """Return what a body asks. Raise Unprocessable."""
    return parse_body(Question, raw).question


def query_question(query: Mapping[str, str]) -> str:
    """Return what ``?question=`` asks. Raise Unprocessable."""
    return parse_query(Question, query).question


def query_msg(query: Mapping[str, str]) -> str:
    """Return what ``?msg=`` asks. Raise Unprocessable."""
    return parse_query(Msg, query).msg


def parse_told(raw: bytes) -> list[tuple[str, str]]:
    """
    Return (role, text) of all that was said, oldest first; the last is the prompt.

    Messages without text are left out. Raise Unprocessable.
    """
    told = parse_body(Told, raw)
    turns = [message.turn for message in told.messages if message.role != "data"]
    turns = [(role, text) for role, text in turns if text.strip()]
    if not turns or turns[-1][0] != "user":
        raise wrong("body", "messages", message="The last must be a user's.")
    return turns


def _text_of(part: Any) -> str:
    if isinstance(part, dict) and part.get("type") == "text":
        text = part.get("text")
        return text if isinstance(text, str) else ""
    return ""

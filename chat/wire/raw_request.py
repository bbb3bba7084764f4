"""What a client of the raw dialects may ask, as checked values."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError

from chat.errors import BadRequest
from chat.text import clean_text
from chat.wire.frames import explain
from chat.wire.parse import parse_object

ROLES = {"developer": "system", "tool": "user", "function": "user"}


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("an empty question cannot be answered")
    return clean_text(text)


class Unprocessable(BadRequest):
    """A request that lacks something, with the list of what in the form of these servers."""

    status: ClassVar[int] = 422

    def __init__(self, place: str, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(explain(errors))
        self.detail = [
            {"type": each["type"], "loc": [place, *each["loc"]], "msg": each["msg"]}
            for each in errors
        ]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


M = TypeVar("M", bound=Lenient)


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
    return _validate(Question, _body(raw), "body").question


def query_question(query: Mapping[str, str]) -> str:
    """Return what ``?question=`` asks. Raise Unprocessable."""
    return _validate(Question, query, "query").question


def query_msg(query: Mapping[str, str]) -> str:
    """Return what ``?msg=`` asks. Raise Unprocessable."""
    return _validate(Msg, query, "query").msg


def parse_told(raw: bytes) -> list[tuple[str, str]]:
    """
    Return (role, text) of all that was said, oldest first; the last is the prompt.

    Messages without text are left out. Raise Unprocessable.
    """
    told = _validate(Told, _body(raw), "body")
    turns = [message.turn for message in told.messages if message.role != "data"]
    turns = [(role, text) for role, text in turns if text.strip()]
    if not turns or turns[-1][0] != "user":
        error = {"type": "value_error", "loc": ["messages"], "msg": "The last must be a user's."}
        raise Unprocessable("body", [error])
    return turns


def _validate(model: type[M], value: Mapping[str, Any], place: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        raise Unprocessable(place, exc.errors(include_url=False)) from None


def _body(raw: bytes) -> dict[str, Any]:
    try:
        return parse_object(raw)
    except BadRequest as exc:
        error = {"type": "json_invalid", "loc": [], "msg": str(exc)}
        raise Unprocessable("body", [error]) from None


def _text_of(part: Any) -> str:
    if isinstance(part, dict) and part.get("type") == "text":
        text = part.get("text")
        return text if isinstance(text, str) else ""
    return ""

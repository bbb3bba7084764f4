"""What a client of the AI SDK may ask for, in any version since 2, as checked values."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
)

from chat.errors import BadRequest
from chat.text import clean_text
from chat.wire.frames import Key, explain, unchanged
from chat.wire.parse import parse_object

ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
MAX_ID = 255  # Of a chat. With the dialect's name before it, it names a conversation.

M = TypeVar("M", bound=BaseModel)


def _text_or_nothing(value: Any) -> str:
    # A page may send anything else besides under the same name.
    return value if isinstance(value, str) else ""


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


Word = Annotated[str, BeforeValidator(_text_or_nothing), AfterValidator(clean_text)]
Name = Annotated[Word, Field(max_length=200)]
Agent = Annotated[Name | None, BeforeValidator(_text_or_none)]
ChatId = Annotated[StrictStr, AfterValidator(unchanged), Field(min_length=1, max_length=MAX_ID)]


class Lenient(BaseModel):
    """Unknown fields are ignored: a client's own, and those of other versions."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ToldMessage(Lenient):
    """A message as the client has it: in parts, or with all its text in ``content``."""

    id: Word = ""
    role: Annotated[StrictStr, Field(max_length=50)]
    parts: list[Any] | None = None
    content: str | list[Any] | None = None

    @property
    def text(self) -> str:
        """The text of all parts that are text."""
        if not self.parts and isinstance(self.content, str):
            return clean_text(self.content)
        parts = self.parts or self.content
        return clean_text("".join(_text(part) for part in parts or ()))


def _text(part: Any) -> str:
    is_text = isinstance(part, dict) and part.get("type") == "text"
    return _text_or_nothing(part.get("text")) if is_text else ""


class ChatRequest(Lenient):
    """
    The body of ``POST /api/chat``.

    With ``is_again`` an answer is asked for once more: the one that
    ``messageId`` names, or the last that is told. Else the last message is the prompt.
    """

    id: ChatId | None = None
    messages: list[ToldMessage] | None = None
    message: ToldMessage | None = None
    trigger: Word = ""
    messageId: Word = ""  # noqa: N815 - the dialect's own name
    model: Name = ""
    agent: Agent = None

    @property
    def is_again(self) -> bool:
        return self.trigger.startswith("regenerate")

    @property
    def told(self) -> Sequence[ToldMessage]:
        """All messages that the client tells, oldest first."""
        return self.messages or ([self.message] if self.message else [])

    @property
    def prompt(self) -> str:
        """The text of the last message of a user."""
        return self.told[self._place].text if self._place >= 0 else ""

    @property
    def above(self) -> Sequence[ToldMessage]:
        """What is told before the prompt."""
        return self.told[: max(self._place, 0)]

    @property
    def turns(self) -> list[tuple[str, str]]:
        """Role and text of what is told before the prompt, where there is text."""
        turns = [(ROLES.get(each.role), each.text) for each in self.above]
        return [(role, text) for role, text in turns if role and text.strip()]

    @property
    def is_edit(self) -> bool:
        """Whether the prompt takes the place of an earlier one."""
        return self._place >= 0 and self.messageId == self.told[self._place].id != ""

    @property
    def _place(self) -> int:
        users = [i for i, each in enumerate(self.told) if each.role == "user"]
        return users[-1] if users else -1


class CompletionRequest(Lenient):
    """The body of ``POST /api/completion``."""

    prompt: Annotated[StrictStr, AfterValidator(clean_text)]
    model: Name = ""
    agent: Agent = None


class StopRequest(Lenient):
    """The body of ``POST /api/chat/{id}/stop``, if it has one."""

    messageId: Word = ""  # noqa: N815


class SendFrame(Lenient):
    """Ask over the WebSocket: the fields of a ChatRequest, and of a body of the client's own."""

    type: Literal["send"]
    requestId: Key  # noqa: N815
    headers: dict[str, Any] = {}
    request: ChatRequest

    @property
    def key(self) -> str:
        """The idempotency key, if there is one."""
        return _text_or_nothing(self.headers.get("idempotency-key"))


class ResumeFrame(Lenient):
    """Read an answer that is being written, but for the chunks up to ``lastSequence``."""

    type: Literal["resume"]
    requestId: Key  # noqa: N815
    id: ChatId
    lastSequence: Annotated[int, Field(ge=-1, le=2**53)] | None = None  # noqa: N815


class AbortFrame(Lenient):
    """Stop the answer that an earlier request reads."""

    type: Literal["abort"]
    requestId: Key  # noqa: N815


Frame = SendFrame | ResumeFrame | AbortFrame
FRAMES: dict[Any, type[Frame]] = {
    "send": SendFrame,
    "resume": ResumeFrame,
    "abort": AbortFrame,
}


def parse_chat(raw: bytes) -> ChatRequest:
    """Return what is asked for. Raise BadRequest that names the field."""
    return _chat(parse_object(raw))


def parse_completion(raw: bytes) -> CompletionRequest:
    """See parse_chat()."""
    return _checked(CompletionRequest, parse_object(raw))


def parse_stop(raw: bytes) -> StopRequest:
    """See parse_chat()."""
    return _checked(StopRequest, parse_object(raw))


def parse_frame(content: dict[str, Any]) -> Frame:
    """Return a frame of the WebSocket transport. Raise BadRequest that names the field."""
    kind = content.get("type")
    if not isinstance(kind, str) or kind not in FRAMES:
        raise BadRequest("type: a frame is 'send', 'resume' or 'abort'.")
    if kind == "send":
        body = content.get("body")
        own = body if isinstance(body, dict) else {}
        content = content | {"request": _chat(own | content)}
    return _checked(FRAMES[kind], content)


def _chat(content: dict[str, Any]) -> ChatRequest:
    request = _checked(ChatRequest, content)
    if request.id is not None and request.is_again:
        return request  # The prompt is known here.
    if not request.told or request.told[-1].role != "user":
        raise BadRequest("messages: the last one must be a user's.")
    if not request.prompt.strip():
        raise BadRequest("messages: the last one has no text to answer.")
    return request


def _checked(model: type[M], content: dict[str, Any]) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as exc:
        raise BadRequest(explain(exc.errors(include_url=False))) from None

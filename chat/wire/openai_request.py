"""What a client of the OpenAI dialect may ask for, as checked values."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, ValidationError

from chat.errors import BadRequest, UnsupportedParameter
from chat.text import clean_text
from chat.wire.frames import explain
from chat.wire.parse import parse_object

# Here the model has no tools, so what one has said is told as words of the user.
ROLES = {"developer": "system", "tool": "user", "function": "user"}
AGENT = "agent:"  # Before the name of an agent, where this dialect has room for a model's only.
TEXT_PARTS = {"text", "input_text", "output_text", "refusal"}

Text = Annotated[StrictStr, AfterValidator(clean_text)]
Stop = Annotated[str, AfterValidator(clean_text), Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=1, le=2**31)]


class Lenient(BaseModel):
    """Unknown fields are ignored, as this dialect's clients expect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(Lenient):
    type: str
    text: Text | None = None
    refusal: Text | None = None


class ToldMessage(Lenient):
    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None

    @property
    def turn(self) -> tuple[str, str]:
        """Its role, one of the site's own three, and its text."""
        parts = [Part(type="text", text=self.content)] if isinstance(self.content, str) else []
        if isinstance(self.content, list):
            parts = self.content
        text = "".join(part.text or part.refusal or "" for part in parts)
        return ROLES.get(self.role, self.role), text


class StreamOptions(Lenient):
    include_usage: bool | None = None


class CompletionRequest(Lenient):
    """The body of ``POST chat/completions``."""

    messages: Annotated[list[ToldMessage], Field(min_length=1)]
    model: Annotated[Text, Field(max_length=200)] = ""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None

    @property
    def agent(self) -> str:
        """The agent that is asked instead of a model, empty for none."""
        return self.model.removeprefix(AGENT) if self.model.startswith(AGENT) else ""

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def turns(self) -> list[tuple[str, str]]:
        """All that was said, oldest first; the last is the prompt. Empty messages are left out."""
        turns = [message.turn for message in self.messages]
        return [(role, text) for role, text in turns if text.strip()]

    @property
    def options(self) -> dict[str, Any] | None:
        """What the model is asked for besides, None for nothing."""
        names = ("max_tokens", "max_completion_tokens", "temperature", "top_p")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.stop:
            given["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return given or None


def parse_request(raw: bytes) -> CompletionRequest:
    """
    Return what is asked for.

    Raise BadRequest that names the parameter, UnsupportedParameter for what
    would be answered wrongly if it were ignored.
    """
    try:
        request = CompletionRequest.model_validate(parse_object(raw))
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
        param = ".".join(str(part) for part in errors[0]["loc"])
        raise BadRequest(explain(errors), param=param or None) from None
    _refuse_unsupported(request)
    if not request.turns or request.turns[-1][0] != "user":
        raise BadRequest("messages: the last one must be a user's, with text.", param="messages")
    return request


def _refuse_unsupported(request: CompletionRequest) -> None:
    if request.n is not None and request.n != 1:
        raise UnsupportedParameter("n: one answer is given to a request.", param="n")
    for name in ("tools", "functions"):
        if getattr(request, name):
            raise UnsupportedParameter(f"{name}: the models here have no tools.", param=name)
    if request.response_format and request.response_format.get("type") != "text":
        raise UnsupportedParameter("response_format: answers are text.", param="response_format")
    for index, message in enumerate(request.messages):
        for part in message.content if isinstance(message.content, list) else ():
            if part.type not in TEXT_PARTS:
                raise UnsupportedParameter(
                    f"messages: a part of type {part.type[:50]!r} cannot be read, only text.",
                    param=f"messages.{index}.content",
                )

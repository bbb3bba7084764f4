"""The frames a client may send over the native WebSocket, as checked values."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from chat.errors import BadRequest
from chat.text import clean_text
from chat.wire.parse import parse_object


def unchanged(text: str) -> str:
    """Return an id of a client's as it stands. Raise ValueError if it cannot be stored so."""
    # Cleaned, it would come back to the client as another key than the one it sent.
    if clean_text(text) != text:
        raise ValueError("it has characters that cannot be stored")
    return text


Text = Annotated[StrictStr, AfterValidator(clean_text)]
Key = Annotated[StrictStr, AfterValidator(unchanged), Field(min_length=1, max_length=128)]
Name = Annotated[Text, Field(max_length=200)]
Place = Annotated[StrictInt, Field(ge=1, le=1000)]
Attachments = Annotated[tuple[UUID, ...], Field(max_length=100)]
Cursor = Annotated[StrictInt, Field(ge=0, le=2**53)]


class Frame(BaseModel):
    """Unknown fields are refused: a misspelt one would otherwise be ignored in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Send(Frame):
    """
    Ask. ``id`` is the client's own name for the request and its idempotency key.

    Without ``parent`` the prompt follows the newest answer; null starts at the root.
    Without ``agent`` that of the conversation answers; an empty one means none.
    A new conversation may be ``temporary``, and begin with a ``persona``. ``attachments``
    names files uploaded before.
    """

    type: Literal["send"]
    id: Key
    conversation: UUID | None = None
    parent: UUID | None = None
    text: Text
    model: Name = ""
    agent: Name | None = None
    temporary: StrictBool = False
    attachments: Attachments = ()
    persona: UUID | None = None


class Regenerate(Frame):
    """Answer the same prompt again, beside the answer ``message``."""

    type: Literal["regenerate"]
    id: Key
    message: UUID
    model: Name = ""
    agent: Name | None = None


class Continue(Frame):
    """Go on from the answer ``message``, which broke off: beside it, beginning with its text."""

    type: Literal["continue"]
    id: Key
    message: UUID
    model: Name = ""


class Follow(Frame):
    """Read a generation's events from a cursor on (exclusive; 0 = all)."""

    type: Literal["follow"]
    generation: UUID
    after: Cursor = 0


class Unfollow(Frame):
    """Read it no longer. The generation goes on."""

    type: Literal["unfollow"]
    generation: UUID


class Stop(Frame):
    """End a running generation, or remove a queued one. Idempotent."""

    type: Literal["stop"]
    generation: UUID


class Change(Frame):
    """Give a prompt that waits another text, or another place in the queue, from 1 on."""

    type: Literal["change"]
    generation: UUID
    text: Text | None = None
    place: Place | None = None


class SendNow(Frame):
    """Make a prompt that waits the next one, and stop the answer that is being written."""

    type: Literal["send_now"]
    generation: UUID


class Withdraw(Frame):
    """Take a prompt out of the queue. Unlike ``stop``, refused when it waits no longer."""

    type: Literal["withdraw"]
    generation: UUID


class Ping(Frame):
    """Ask for a ``pong``."""

    type: Literal["ping"]


QueueFrame = Change | SendNow | Withdraw
PromptFrame = Send | Regenerate | Continue
ClientFrame = PromptFrame | Follow | Unfollow | Stop | QueueFrame | Ping

_adapter: TypeAdapter[ClientFrame] = TypeAdapter(
    Annotated[ClientFrame, Field(discriminator="type")]
)


def parse_frame(raw: str) -> ClientFrame:
    """Return the frame. Raise BadRequest that names the field and what is wrong with it."""
    content = parse_object(raw)
    try:
        return _adapter.validate_python(content)
    except ValidationError as exc:
        raise BadRequest(explain(exc.errors(include_url=False))) from None


def explain(errors: Any) -> str:
    """Return one line for people: ``text: Field required; id: …``."""
    lines = []
    for error in errors[:5]:
        path = ".".join(str(part) for part in error["loc"] if part not in PATH_NOISE)
        lines.append(f"{path}: {error['msg']}" if path else str(error["msg"]))
    return "; ".join(lines)


# Parts of an error's location that name our own types, not the client's fields.
PATH_NOISE = {
    *("send", "regenerate", "continue", "follow", "unfollow", "stop"),
    *("change", "send_now", "withdraw", "ping"),
    *("body", "payload"),
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of all client frames, as `docs/protocol.md` publishes it."""
    return _adapter.json_schema()

"""The site's own form of an exported conversation: see docs/protocol.md."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError
from pydantic.functional_validators import AfterValidator

from chat.errors import BadRequest
from chat.models.kept import MAX_TAG_LENGTH, MAX_TAGS
from chat.models.ratings import MAX_COMMENT, reasons_for
from chat.text import clean_text
from chat.transfer.threads import MAX_MESSAGES, Thread, Turn, check_tree, moment, title_of
from chat.wire.frames import explain

FORMAT = "chat-export"
VERSION = 1

Text = Annotated[StrictStr, AfterValidator(clean_text)]
Name = Annotated[Text, Field(max_length=200)]
Tag = Annotated[Text, Field(min_length=1, max_length=MAX_TAG_LENGTH)]
TIMES = ("created_at", "started_at", "first_delta_at", "ended_at")
STATUSES = {"done", "stopped", "failed", "interrupted"}


class _Told(BaseModel):
    model_config = ConfigDict(extra="ignore")  # Later versions may say more.


class ToldError(_Told):
    code: Name
    message: Text
    retryable: StrictBool = False


class ToldGeneration(_Told):
    model: Name
    agent: Annotated[Text, Field(max_length=100)] = ""
    status: Name
    finish_reason: Annotated[Text, Field(max_length=50)] = ""
    usage: dict[Name, StrictInt] | None = None
    error: ToldError | None = None
    created_at: Any = None
    started_at: Any = None
    first_delta_at: Any = None
    ended_at: Any = None


class ToldRating(_Told):
    value: Literal[1, -1]
    reasons: list[Any] = []
    comment: Annotated[Text, Field(max_length=MAX_COMMENT)] = ""
    created_at: Any = None
    updated_at: Any = None


class ToldMessage(_Told):
    id: Name
    parent: Name | None
    role: Literal["system", "user", "assistant"]
    text: Text
    reasoning: Text = ""
    created_at: Any = None
    generation: ToldGeneration | None = None
    rating: ToldRating | None = None


class ToldConversation(_Told):
    id: Name = ""
    title: Text = ""
    model: Name = ""
    agent: Annotated[Text, Field(max_length=100)] = ""
    pinned: StrictBool = False
    archived: StrictBool = False
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] = []
    created_at: Any = None
    updated_at: Any = None
    messages: Annotated[list[ToldMessage], Field(max_length=MAX_MESSAGES)]


def read_ours(item: dict[str, Any]) -> Thread:
    """Return the conversation that an item of an export holds. Raise BadRequest."""
    try:
        told = ToldConversation.model_validate(item)
    except ValidationError as exc:
        raise BadRequest(explain(exc.errors(include_url=False))) from None
    now = moment(None, datetime.now().astimezone())
    created_at = moment(told.created_at, now)
    places: dict[str, int] = {}
    turns: list[Turn] = []
    for number, message in enumerate(told.messages):
        turns.append(_turn(number, message, places, created_at))
        if places.setdefault(message.id, number) != number:
            raise BadRequest(f"messages.{number}: its id stands there twice.")
    check_tree(turns)
    return Thread(
        source=f"{FORMAT} {told.id}",
        title=title_of(told.title),
        model=told.model,
        agent=told.agent,
        pinned=told.pinned and not told.archived,
        archived=told.archived,
        tags=told.tags,
        created_at=created_at,
        updated_at=moment(told.updated_at, created_at),
        turns=turns,
        message_ids=[message.id for message in told.messages],
    )


def _turn(number: int, message: ToldMessage, places: dict[str, int], time: datetime) -> Turn:
    if message.parent is not None and message.parent not in places:
        raise BadRequest(f"messages.{number}: its parent does not stand before it.")
    created_at = moment(message.created_at, time)
    is_answer = message.role == "assistant" and message.generation is not None
    return Turn(
        role=message.role,
        text=message.text,
        reasoning=message.reasoning,
        parent=None if message.parent is None else places[message.parent],
        created_at=created_at,
        generation=_generation(message.generation, created_at) if is_answer else None,
        rating=_rating(message.rating, created_at) if message.role == "assistant" else None,
    )


def _rating(told: ToldRating | None, time: datetime) -> dict[str, Any] | None:
    if told is None:
        return None
    created_at = moment(told.created_at, time)
    return {
        "value": told.value,
        "reasons": reasons_for(told.value, told.reasons),
        "comment": told.comment,
        "created_at": created_at,
        "updated_at": moment(told.updated_at, created_at),
    }


def _generation(told: ToldGeneration | None, time: datetime) -> dict[str, Any]:
    assert told is not None
    times = {name: getattr(told, name) for name in TIMES}
    return {
        **told.model_dump(exclude=set(TIMES)),
        # What was being written when it was exported is not written on here.
        "status": told.status if told.status in STATUSES else "interrupted",
        **{name: moment(value, time) for name, value in times.items() if value is not None},
        "ended_at": moment(told.ended_at, time),
    }

"""The objects of the HTTP API, as `docs/protocol.md` describes them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictInt

from chat import models
from chat.models.kept import MAX_SYSTEM_PROMPT, MAX_TAG_LENGTH, MAX_TAGS, tidy_tag
from chat.wire.frames import Attachments, Name, Text

Title = Annotated[Text, Field(max_length=200)]
Tag = Annotated[Text, AfterValidator(tidy_tag), Field(min_length=1, max_length=MAX_TAG_LENGTH)]


SystemPrompt = Annotated[Text, Field(max_length=MAX_SYSTEM_PROMPT)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Strict(Schema):
    """What clients send. Unknown fields are refused: a misspelt one would be ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(Strict):
    cursor: str = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ConversationQuery(PageQuery):
    q: Name = ""
    tag: Name = ""
    archived: bool | None = None


class Parameters(Strict):
    """What answers are asked for. Whatever is left out is left to the model's server."""

    temperature: Annotated[Real, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Real, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None


class NewConversation(Strict):
    title: Title = ""
    model: Name = ""
    agent: Name = ""
    parameters: Parameters | None = None
    system_prompt: SystemPrompt = ""
    persona: UUID | None = None
    temporary: StrictBool = False


class ConversationChange(Strict):
    title: Title | None = None
    model: Name | None = None
    agent: Name | None = None
    parameters: Parameters | None = None
    system_prompt: SystemPrompt | None = None
    persona: UUID | None = None  # Sent as null, it means none from now on.
    pinned: StrictBool | None = None
    archived: StrictBool | None = None
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS)] | None = None
    unread: StrictBool | None = None
    open: StrictBool | None = None
    leaf: UUID | None = None


class NewMessage(Strict):
    text: Text
    parent: UUID | None = None
    model: Name = ""
    agent: Name | None = None
    attachments: Attachments = ()


class Regenerate(Strict):
    model: Name = ""
    agent: Name | None = None


class Continue(Strict):
    model: Name = ""


class Fork(Strict):
    message: UUID | None = None
    step: UUID | None = None


class PinnedPersona(Schema):
    id: UUID
    name: str
    version: int
    newest: int


class Conversation(Schema):
    id: UUID
    title: str
    model: str
    agent: str
    parameters: dict[str, float | int]
    system_prompt: str
    persona: PinnedPersona | None
    forked_from: UUID | None
    forked_at_step: UUID | None
    leaf: UUID | None
    pinned: bool
    archived: bool
    temporary: bool
    tags: list[str]
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_parameters(conversation: models.Conversation) -> dict[str, Any]:
        return conversation.parameters or {}

    @staticmethod
    def resolve_persona(conversation: models.Conversation) -> dict[str, Any] | None:
        version = conversation.persona_version
        if version is None:
            return None
        persona = version.persona
        newest = persona.newest or version
        return {
            "id": persona.pk,
            "name": persona.name,
            "version": version.number,
            "newest": newest.number,
        }

    @staticmethod
    def resolve_forked_from(conversation: models.Conversation) -> UUID | None:
        return conversation.forked_from_id

    @staticmethod
    def resolve_forked_at_step(conversation: models.Conversation) -> UUID | None:
        return conversation.forked_at_step_id

    @staticmethod
    def resolve_leaf(conversation: models.Conversation) -> UUID | None:
        return conversation.leaf_id


class SnippetPart(Schema):
    text: str
    found: bool


class ListedConversation(Conversation):
    running: bool
    unread: bool
    snippet: list[SnippetPart] | None = None


class Attachment(Schema):
    id: UUID
    name: str
    kind: Literal["text", "image"]
    media_type: str
    size: int


RatingValue = Literal[1, -1]


class Rating(Schema):
    value: RatingValue
    reasons: list[str]
    comment: str
    created_at: datetime
    updated_at: datetime


class Message(Schema):
    id: UUID
    conversation: UUID
    parent: UUID | None
    role: Literal["system", "user", "assistant"]
    text: str
    created_at: datetime
    generation: UUID | None = None
    attachments: list[Attachment] = []
    rating: Rating | None = None


class Error(Schema):
    code: str
    message: str
    retryable: bool


class Generation(Schema):
    id: UUID
    conversation: UUID
    message: UUID
    status: Literal["queued", "running", "done", "stopped", "failed", "interrupted"]
    cursor: int
    model: str
    agent: str
    continues: UUID | None = None
    created_at: datetime
    started_at: datetime | None
    first_delta_at: datetime | None
    ended_at: datetime | None
    finish_reason: str
    usage: dict[str, int] | None
    error: Error | None


class Timing(Schema):
    """``marks``: milliseconds since the writer began, and how much of the text came then."""

    generation: UUID
    text: str
    marks: list[tuple[int, int]]


class Accepted(Schema):
    message: Message
    generation: Generation
    position: int


class Event(Schema):
    cursor: int
    kind: str
    data: dict[str, Any]


class Events(Schema):
    events: list[Event]
    cursor: int
    terminal: bool


class ConversationPage(Schema):
    items: list[ListedConversation]
    next: str | None


class MessagePage(Schema):
    items: list[Message]
    next: str | None


class ErrorBody(Schema):
    error: Error


ERRORS: dict[Any, Any] = dict.fromkeys(
    (400, 401, 403, 404, 409, 410, 413, 415, 422, 429, 503), ErrorBody
)


def as_message(
    message: models.Message,
    generation_id: UUID | None = None,
    rating: models.Rating | None = None,
) -> dict[str, Any]:
    return {
        "id": message.pk,
        "conversation": message.conversation_id,
        "parent": message.parent_id,
        "role": message.role,
        "text": message.text,
        "created_at": message.created_at,
        "generation": generation_id,
        "attachments": [file.as_news() for file in message.files],
        "rating": rating,
    }


def as_generation(generation: models.Generation, *, cursor: int) -> dict[str, Any]:
    return {
        "id": generation.pk,
        "conversation": generation.conversation_id,
        "message": generation.message_id,
        "cursor": cursor,
        "continues": generation.continues_id,
        **{
            name: getattr(generation, name)
            for name in Generation.model_fields
            if name not in {"id", "conversation", "message", "cursor", "continues"}
        },
    }

"""What clients of Burr's API send, as checked values."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool

from chat.text import clean_text
from chat.wire.forms import Lenient

Text = Annotated[str, AfterValidator(clean_text)]
Name = Annotated[Text, Field(max_length=200)]

PROJECT = r"[A-Za-z0-9_\-:]{1,100}"


class PromptInput(Lenient):
    prompt: Text


class DataPointer(Lenient):
    """What of a step is meant: a field of its state, or an attribute."""

    type: Literal["state_field", "attribute"]
    field_name: Name
    span_id: Name | None


class Observation(Lenient):
    data_fields: dict[Name, Any]
    thumbs_up_thumbs_down: StrictBool | None
    data_pointers: Annotated[list[DataPointer], Field(max_length=100)]


class AnnotationCreate(Lenient):
    span_id: Name | None
    step_name: Name
    tags: Annotated[list[Name], Field(max_length=100)]
    observations: Annotated[list[Observation], Field(max_length=100)]


class AnnotationUpdate(AnnotationCreate):
    span_id: Name | None = None
    tags: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)


class Page(Lenient):
    limit: Annotated[int, Field(ge=0, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


class AnnotationFilter(Lenient):
    app_id: str | None = None
    partition_key: str | None = None
    step_sequence_id: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None

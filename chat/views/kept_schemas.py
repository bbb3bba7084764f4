"""The objects of what is done with whole conversations: see `chat.views.schemas`."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field, StrictBool, StrictInt

from chat.views.schemas import Error, Strict


class Tags(Schema):
    items: list[str]


class ExportQuery(Strict):
    form: Literal["json", "markdown"] = "json"
    branch: Literal["shown", "all"] = "shown"
    leaf: UUID | None = None


class ExportAllQuery(Strict):
    form: Literal["json", "markdown"] = "json"


class Import(Schema):
    """An export as it is: what else stands in it besides the conversations is not looked at."""

    conversations: Annotated[list[Any], Field(max_length=1000)]


class Imported(Schema):
    index: int
    title: str
    status: Literal["imported", "already", "failed"]
    conversation: UUID | None
    messages: int
    skipped: int
    error: Error | None


class ImportReport(Schema):
    imported: int
    already: int
    failed: int
    skipped: int
    items: list[Imported]


class NewShare(Strict):
    days: Annotated[StrictInt, Field(ge=1, le=3650)] | None = None
    show_name: StrictBool = False


class Share(Schema):
    id: UUID
    url: str
    title: str
    name: str
    created_at: datetime
    expires_at: datetime | None


class Shares(Schema):
    items: list[Share]

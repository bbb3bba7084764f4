"""The objects of personas: see `chat.views.schemas`."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, Field, StrictBool, StrictInt

from chat import models
from chat.generations.personas import content_of
from chat.models.personas import MAX_DESCRIPTION, MAX_NAME, MAX_STARTER, MAX_STARTERS
from chat.views.schemas import Parameters, Strict, SystemPrompt
from chat.wire.frames import Name, Text

PersonaName = Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=MAX_NAME)]
Description = Annotated[Text, Field(max_length=MAX_DESCRIPTION)]
Starter = Annotated[Text, AfterValidator(str.strip), Field(min_length=1, max_length=MAX_STARTER)]
Starters = Annotated[list[Starter], Field(max_length=MAX_STARTERS)]


class NewPersona(Strict):
    name: PersonaName
    description: Description = ""
    system_prompt: SystemPrompt = ""
    model: Name = ""
    parameters: Parameters = Parameters()
    starters: Starters = []


class PersonaChange(Strict):
    name: PersonaName | None = None
    description: Description | None = None
    system_prompt: SystemPrompt | None = None
    model: Name | None = None
    parameters: Parameters | None = None
    starters: Starters | None = None
    hidden: StrictBool | None = None
    version: Annotated[StrictInt, Field(ge=1, lt=2**31)] | None = None


class ListedPersona(Schema):
    """What a picker shows; what the model is told is read with the persona."""

    id: UUID
    name: str
    description: str
    owner: Literal["user", "site"]
    hidden: bool
    version: int
    model: str
    starters: list[str]


class Persona(ListedPersona):
    system_prompt: str
    parameters: dict[str, float | int]


class Personas(Schema):
    items: list[ListedPersona]


class PersonaVersion(Schema):
    version: int
    system_prompt: str
    model: str
    parameters: dict[str, float | int]
    starters: list[str]
    created_at: datetime


class PersonaVersions(Schema):
    items: list[PersonaVersion]
    next: str | None


def as_listed(persona: models.Persona) -> dict[str, Any]:
    """Return a persona as a list shows it."""
    assert persona.newest is not None  # Since it was made.
    return {
        "id": persona.pk,
        "name": persona.name,
        "description": persona.description,
        "owner": "site" if persona.is_sites else "user",
        "hidden": persona.hidden,
        "version": persona.newest.number,
        "model": persona.newest.model,
        "starters": persona.newest.starters,
    }


def as_persona(persona: models.Persona) -> dict[str, Any]:
    """Return a persona with all that its newest version says."""
    return as_listed(persona) | content_of(persona.newest)


def as_version(version: models.PersonaVersion) -> dict[str, Any]:
    return {"version": version.number, "created_at": version.created_at, **content_of(version)}


def fields_of(payload: NewPersona | PersonaChange) -> dict[str, Any]:
    """Return what was sent, as it is saved. Null means: as it is."""
    return payload.model_dump(exclude_none=True, exclude={"version"})

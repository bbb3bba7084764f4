"""The HTTP API of personas: one's own, and those that the site offers."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Status

from chat.database import in_database, in_transaction
from chat.errors import BadRequest
from chat.generations.personas import (
    change_persona,
    create_persona,
    find_persona,
    restore_version,
)
from chat.models import Persona, PersonaVersion
from chat.views import persona_schemas, schemas
from chat.views.attachments import api as api
from chat.views.persona_schemas import as_listed, as_persona, as_version, fields_of
from chat.views.schemas import ERRORS


@api.get(
    "/personas/",
    response={200: persona_schemas.Personas, **ERRORS},
    summary="List the personas to choose from, or with ?hidden=true one's own hidden ones",
)
async def list_personas(request: HttpRequest, hidden: bool = False) -> Any:
    found = await in_database(list_of, _user(request), hidden)
    return {"items": [as_listed(each) for each in found]}


@api.post(
    "/personas/",
    response={201: persona_schemas.Persona, **ERRORS},
    summary="Make a persona",
)
async def make_persona(request: HttpRequest, payload: persona_schemas.NewPersona) -> Any:
    made = await in_transaction(create_persona, _user(request), fields_of(payload))
    return Status(201, as_persona(made))


@api.get(
    "/personas/{uuid:persona_id}/",
    response={200: persona_schemas.Persona, **ERRORS},
    summary="Read a persona with its newest version",
)
async def get_persona(request: HttpRequest, persona_id: UUID) -> Any:
    return as_persona(await in_database(find_persona, _user(request), persona_id))


@api.patch(
    "/personas/{uuid:persona_id}/",
    response={200: persona_schemas.Persona, **ERRORS},
    summary="Change a persona of one's own: a new version; or hide it, or take an old version",
)
async def patch_persona(
    request: HttpRequest, persona_id: UUID, payload: persona_schemas.PersonaChange
) -> Any:
    user = _user(request)
    if payload.version is None:
        changed = await in_transaction(change_persona, user, persona_id, fields_of(payload))
    elif payload.model_fields_set == {"version"}:
        changed = await in_transaction(restore_version, user, persona_id, payload.version)
    else:
        raise BadRequest("version: send it alone. It brings back all of what that version says.")
    return as_persona(changed)


@api.get(
    "/personas/{uuid:persona_id}/versions/",
    response={200: persona_schemas.PersonaVersions, **ERRORS},
    summary="Read the versions of a persona of one's own, the newest first",
)
async def list_versions(
    request: HttpRequest, persona_id: UUID, page: Query[schemas.PageQuery]
) -> Any:
    items, following = await in_database(versions_page, _user(request), persona_id, page)
    return {"items": [as_version(each) for each in items], "next": following}


def versions_page(
    user: Any, persona_id: UUID, page: schemas.PageQuery
) -> tuple[list[PersonaVersion], str | None]:
    """Return versions of a user's own persona, and the cursor of what follows. Raise NotFound."""
    rows = find_persona(user, persona_id, own=True).versions.all()
    if page.cursor:
        if not (page.cursor.isascii() and page.cursor.isdecimal() and len(page.cursor) < 10):
            raise BadRequest("cursor: take it from 'next' of the page before.")
        rows = rows.filter(number__lt=int(page.cursor))
    items = list(rows[: page.limit + 1])
    more = len(items) > page.limit
    items = items[: page.limit]
    return items, str(items[-1].number) if more else None


def list_of(user: Any, hidden: bool = False) -> list[Persona]:
    """Return what is offered to a user, or what they have hidden, without what models are told."""
    rows = Persona.objects.select_related("newest").exclude(newest=None)
    found = rows.owned_by(user).exclude(hidden_at=None) if hidden else rows.offered_to(user)
    return list(found.defer("newest__system_prompt"))


def _user(request: HttpRequest) -> Any:
    return request.auth.user  # type: ignore[attr-defined]  # Set by ninja.

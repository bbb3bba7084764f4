"""
Personas as people and staff make and change them.

Each function that takes a user is a unit for `in_transaction()`. A user changes what is
theirs; whatever else there is, and is not offered to them, they do not find.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from chat.access import check_model
from chat.errors import BadRequest, NotFound
from chat.generations.parameters import merged
from chat.llm.registry import check_model_name
from chat.models import Conversation, Persona, PersonaVersion
from chat.models.personas import MAX_NAME

if TYPE_CHECKING:
    from chat.models.kept import Viewer

MAX_PERSONAS = 100  # Of one user, hidden ones too.
VERSIONED = ("system_prompt", "model", "parameters", "starters")
NAMED = ("name", "description", "order")


def newest_of(user: "Viewer", persona_id: UUID) -> PersonaVersion:
    """Return the version that a conversation is to begin with. Raise NotFound."""
    offered = Persona.objects.offered_to(user).select_related("newest")
    persona = offered.filter(pk=persona_id).first()
    if persona is None or persona.newest is None:
        raise NotFound
    persona.newest.persona = persona
    return persona.newest


def find_persona(user: "Viewer", persona_id: UUID, *, own: bool = False) -> Persona:
    """Return a persona that a user may read, or change, with its newest version. Raise NotFound."""
    rows = Persona.objects.select_related("newest")
    readable = rows.owned_by(user) if own else rows.readable_by(user)
    persona = readable.filter(pk=persona_id).first()
    if persona is None or persona.newest is None:
        raise NotFound
    return persona


def create_persona(user: "Viewer", fields: Mapping[str, Any]) -> Persona:
    """Make a persona of a user's own, with its first version. Raise BadRequest, UnknownModel."""
    if Persona.objects.owned_by(user).count() >= MAX_PERSONAS:
        raise BadRequest(f"There are at most {MAX_PERSONAS} personas. Change one of yours.")
    persona = Persona(owner_id=user.pk)
    save_persona(persona, fields, by=user)
    return persona


def change_persona(user: "Viewer", persona_id: UUID, changes: Mapping[str, Any]) -> Persona:
    """
    Change a user's own persona; what is not named stays.

    Another system prompt, model, parameters or example prompts make a new version.
    ``hidden`` says whether it is offered. Raise NotFound, UnknownModel.
    """
    persona = _own(user, persona_id)
    save_persona(persona, changes, by=user)
    return persona


def restore_version(user: "Viewer", persona_id: UUID, number: int) -> Persona:
    """Make an old version the newest again, by a new one that says the same. Raise NotFound."""
    persona = _own(user, persona_id)
    old = persona.versions.filter(number=number).first()
    if old is None:
        raise NotFound
    save_persona(persona, content_of(old), by=user)
    return persona


def duplicate_persona(user: "Viewer", persona_id: UUID) -> Persona:
    """Make a persona of a user's own that begins as another one, theirs or the site's, is now."""
    persona = find_persona(user, persona_id)
    title = _("%(name)s (copy)")
    name = title % {"name": persona.name[: MAX_NAME - len(title % {"name": ""})]}
    fields = {"name": name, "description": persona.description, **content_of(persona.newest)}
    return create_persona(user, fields)


def save_as_persona(
    user: "Viewer", conversation: Conversation, fields: Mapping[str, Any]
) -> Persona:
    """Make a persona of a user's own that goes on as a conversation does, but for ``fields``."""
    pinned = content_of(conversation.persona_version)
    content = {
        "system_prompt": fields["system_prompt"] or pinned["system_prompt"],
        "model": conversation.model or pinned["model"],
        "parameters": merged(pinned["parameters"], fields["parameters"]),
        "starters": pinned["starters"],
    }
    return create_persona(user, {"name": fields["name"], **content})


def save_persona(persona: Persona, changes: Mapping[str, Any], *, by: "Viewer | None") -> None:
    """
    Save a persona, new or locked, and a new version if it says something else from now on.

    Part of a unit of database work. Raise UnknownModel.
    """
    if model := changes.get("model"):
        # One's own names what one may use; the site's is for groups that staff know of.
        check_model_name(model) if persona.is_sites else check_model(persona.owner_id, model)
    for name in NAMED:
        if name in changes:
            setattr(persona, name, changes[name])
    if "hidden" in changes and changes["hidden"] != persona.hidden:
        persona.hidden_at = timezone.now() if changes["hidden"] else None
    persona.save()
    before = content_of(persona.newest)
    content = before | {name: changes[name] for name in VERSIONED if name in changes}
    if persona.newest is not None and content == before:
        return
    number = persona.newest.number + 1 if persona.newest else 1
    persona.newest = persona.versions.create(
        number=number, created_by_id=by.pk if by else None, **content
    )
    persona.save(update_fields=["newest"])


def content_of(version: PersonaVersion | None) -> dict[str, Any]:
    """Return what a version says; of none, what is said where nothing is."""
    if version is None:
        return {"system_prompt": "", "model": "", "parameters": {}, "starters": []}
    return {name: getattr(version, name) for name in VERSIONED}


def _own(user: "Viewer", persona_id: UUID) -> Persona:
    # Locked, so that of two who save at once each makes a version.
    owned = Persona.objects.owned_by(user).select_for_update()
    persona = owned.filter(pk=persona_id).first()
    if persona is None:
        raise NotFound
    return persona

"""Which persona a conversation has, as its page shows it and lets one choose."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.http import HttpRequest, QueryDict

from chat.database import in_database
from chat.errors import NotFound
from chat.generations.personas import newest_of
from chat.models import Conversation, Persona, PersonaVersion
from chat.views import conversations, schemas

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

    Viewer = AbstractBaseUser | AnonymousUser


def posted_persona(value: str) -> UUID | None:
    """Return the persona that a form names, None for none. Raise NotFound."""
    try:
        return UUID(value) if value else None
    except ValueError:
        raise NotFound from None


async def shown_persona(
    request: HttpRequest, conversation: Conversation | None
) -> PersonaVersion | None:
    """Return the version of a conversation, or the one that a new chat's address or form names."""
    if conversation is not None:
        return conversation.persona_version
    named = (request.POST if request.method == "POST" else request.GET).get("persona", "")
    try:
        wanted = posted_persona(named)
        return await in_database(newest_of, request.user, wanted) if wanted else None
    except NotFound:
        return None


async def take_persona(
    user: "AbstractBaseUser", conversation: Conversation | None, form: QueryDict
) -> dict[str, Any]:
    """
    Have a conversation go on with the persona that its form names, if that is another one.

    Return what a prompt that begins a conversation says of it. Raise NotFound.
    """
    wanted = posted_persona(form.get("persona", ""))
    if conversation is None:
        return {"persona_id": wanted} if wanted else {}
    version = conversation.persona_version
    if "persona" in form and wanted != (version.persona_id if version else None):
        change = schemas.ConversationChange(persona=wanted)
        await conversations.change(user, conversation.pk, change)
    return {}


def newer_version(user: "Viewer", conversation: Conversation | None) -> PersonaVersion | None:
    """Return the newest version of a conversation's persona, if it is another and offered."""
    version = conversation.persona_version if conversation else None
    newest = version.persona.newest if version else None
    if version is None or newest is None or newest == version:
        return None
    return newest if is_offered(user, version.persona) else None


def is_offered(user: "Viewer", persona: Persona) -> bool:
    """Whether a user may begin with a persona. A query for those of the site alone."""
    if persona.hidden or persona.owner_id == user.pk:
        return not persona.hidden
    return Persona.objects.offered_to(user).filter(pk=persona.pk).exists()


def persona_context(user: "AbstractBaseUser", conversation: Conversation) -> dict[str, Any]:
    """Return what the page of options says of a conversation's persona."""
    version = conversation.persona_version
    return {
        "persona": version,
        "persona_is_offered": version is not None and is_offered(user, version.persona),
        "newer_persona": newer_version(user, conversation),
        "personas": Persona.objects.offered_to(user),
    }

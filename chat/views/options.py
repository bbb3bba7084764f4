"""
What one does with a conversation, by plain forms: the page's script calls the API instead.

Its dialogs are sections of this page.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from pydantic import ValidationError

from chat.database import in_database, in_transaction
from chat.errors import BadRequest, ChatError, NotFound
from chat.generations.personas import save_as_persona
from chat.generations.removal import delete_conversation
from chat.models import Conversation
from chat.views import conversations, schemas, shares
from chat.views.persona_choice import persona_context, posted_persona
from chat.views.persona_schemas import NewPersona, fields_of
from chat.views.schemas import Parameters
from chat.wire.frames import explain

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

Act = Callable[["AbstractBaseUser", UUID, QueryDict], Awaitable[str]]


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def options(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Show what can be done with a conversation. A posted form does it and comes back here."""
    request.user = await request.auser()
    user = cast("AbstractBaseUser", request.user)
    if request.method != "POST":
        return await sync_to_async(_show)(request, conversation_id)
    act = ACTS.get(request.POST.get("action", ""))
    here = f"{reverse('chat:options', args=[conversation_id])}#{request.POST.get('action', '')}"
    try:
        if act is None:
            await in_transaction(conversations.find, user, conversation_id)
            return redirect(here)
        said = await act(user, conversation_id, request.POST)
    except NotFound:
        raise Http404 from None
    except ChatError as exc:
        messages.error(request, str(exc))
        return redirect(here)
    back_to_archived = request.POST.get("next") == "archived"
    if act is _delete and not back_to_archived:
        return redirect(f"{reverse('chat:home')}?deleted={conversation_id}")
    if act is _restore or request.POST.get("next") == "conversation":
        return redirect("chat:conversation", conversation_id)
    if said:
        messages.success(request, said)
    return redirect("chat:archived" if back_to_archived else here)


@never_cache
@login_required
@require_safe
def archived(request: HttpRequest) -> HttpResponse:
    """List what was put away, and what was deleted a moment ago."""
    query = schemas.ConversationQuery(archived=True, cursor=request.GET.get("cursor", "")[:100])
    try:
        page = conversations.list_page(cast("AbstractBaseUser", request.user), query)
    except BadRequest:
        raise Http404 from None
    deleted = [] if query.cursor else Conversation.objects.restorable_by(request.user)[:50]
    return render(request, "chat/archived.html", {**page, "deleted": deleted})


def _show(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    user = cast("AbstractBaseUser", request.user)
    try:
        conversation = conversations.find(user, conversation_id)
        links = shares.list_shares(user, conversation_id)
    except NotFound:
        raise Http404 from None
    context = {
        "conversation": conversation,
        "shares": [(share, shares.address_of(share, request)) for share in links],
        "now": timezone.now(),
        "tags": ", ".join(conversation.tags),
        "known_tags": Conversation.objects.owned_by(user).listed().tags(),
        **persona_context(user, conversation),
    }
    return render(request, "chat/options.html", context)


async def _change(user: "AbstractBaseUser", conversation_id: UUID, **fields: Any) -> None:
    try:
        change = schemas.ConversationChange(**fields)
    except ValidationError as exc:
        raise BadRequest(explain(exc.errors(include_url=False))) from None
    await conversations.change(user, conversation_id, change)


async def _rename(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    title = " ".join(form.get("title", "").split())
    await _change(user, conversation_id, **({"title": title} if title else {}))
    return _("Renamed.")


def _set(field: str, value: bool, said: Callable[[], str]) -> Act:
    async def act(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
        await _change(user, conversation_id, **{field: value})
        return said()

    return act


async def _tag(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    told = (" ".join(tag.split()) for tag in form.get("tags", "").split(","))
    await _change(user, conversation_id, tags=[tag for tag in told if tag])
    return _("The tags are saved.")


async def _set_parameters(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    await _change(user, conversation_id, **_told(form))
    return _("The next answers will be asked for so.")


def _told(form: QueryDict) -> dict[str, Any]:
    """Return the parameters and the system prompt that a form tells, for whoever checks them."""
    told = {name: form.get(name, "").strip() for name in Parameters.model_fields}
    return {
        "parameters": {name: _number(text) for name, text in told.items() if text},
        "system_prompt": form.get("system_prompt", "").replace("\r\n", "\n").strip(),
    }


async def _save_persona(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    """Make a persona of what the form says, over what the conversation is asked for anyway."""
    conversation = await in_database(conversations.find, user, conversation_id)
    try:
        told = NewPersona(name=form.get("persona_name", ""), **_told(form))
    except ValidationError as exc:
        raise BadRequest(explain(exc.errors(include_url=False))) from None
    made = await in_transaction(save_as_persona, user, conversation, fields_of(told))
    return _("“%(name)s” is among your personas now.") % {"name": made}


async def _choose_persona(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    wanted = posted_persona(form.get("persona", ""))
    await _change(user, conversation_id, persona=wanted)
    return _("The next answers will be given so.") if wanted else _("It goes on without a persona.")


def _number(text: str) -> int | float | str:
    """Return a number as it was typed, or the text, for whoever checks it to refuse."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


async def _share(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    days = form.get("days", "")
    await in_transaction(
        shares.create_share,
        user,
        conversation_id,
        days=min(int(days), 3650) if days.isascii() and days.isdecimal() else None,
        show_name="show_name" in form,
    )
    return _("Whoever has the link can read it now.")


async def _revoke(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    try:
        share_id = UUID(form.get("share", ""))
    except ValueError:
        raise NotFound from None
    await in_transaction(shares.revoke_share, user, conversation_id, share_id)
    return _("The link does not work any more.")


async def _delete(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    await delete_conversation(user, conversation_id)
    return ""


async def _restore(user: "AbstractBaseUser", conversation_id: UUID, form: QueryDict) -> str:
    await conversations.restore(user, conversation_id)
    return ""


ACTS: dict[str, Act] = {
    "rename": _rename,
    "pin": _set("pinned", True, lambda: _("Pinned.")),
    "unpin": _set("pinned", False, lambda: _("Not pinned any more.")),
    "archive": _set("archived", True, lambda: _("Archived.")),
    "unarchive": _set("archived", False, lambda: _("Back in the list.")),
    "tags": _tag,
    "parameters": _set_parameters,
    "save-persona": _save_persona,
    "persona": _choose_persona,
    "share": _share,
    "revoke": _revoke,
    "delete": _delete,
    "restore": _restore,
}

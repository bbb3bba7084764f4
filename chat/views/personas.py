"""Personas as pages: made, changed, looked back at, hidden. All of it by plain forms."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from chat.access import models_for
from chat.database import in_database, in_transaction
from chat.errors import ChatError, NotFound
from chat.generations.personas import (
    change_persona,
    create_persona,
    duplicate_persona,
    find_persona,
    restore_version,
)
from chat.models import Persona
from chat.views.persona_api import list_of
from chat.views.persona_forms import PersonaForm, initial_of

Act = Callable[[HttpRequest, UUID], Awaitable[HttpResponse]]
MAX_VERSIONS = 100  # That a page lists; the API lists all.
page_render = sync_to_async(render)


@never_cache
@login_required
@require_safe
def personas(request: HttpRequest) -> HttpResponse:
    """List a user's own personas, those of the site, and what they have hidden."""
    user = request.user
    offered = list_of(user)
    context = {
        "own": [each for each in offered if not each.is_sites],
        "sites": [each for each in offered if each.is_sites],
        "hidden": list_of(user, hidden=True),
    }
    return render(request, "chat/personas.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def new(request: HttpRequest) -> HttpResponse:
    """Show an empty form. Posted, it makes a persona."""
    request.user = await request.auser()
    form = PersonaForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        make = partial(create_persona, request.user, form.fields_told())
        if made := await _try(form, make):
            messages.success(request, _("“%(name)s” is made.") % {"name": made})
            return redirect("chat:personas")
    return await page_render(
        request, "chat/persona.html", {"form": form, **await _models(request.user)}
    )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def persona(request: HttpRequest, persona_id: UUID) -> HttpResponse:
    """Show a persona with its versions: one's own as a form. A posted form does what it says."""
    found = await _read(request, persona_id)
    if request.method == "POST":
        act = ACTS.get(request.POST.get("action", ""))
        if act is not None:
            return await act(request, persona_id)
    if found.is_sites:
        context = {"persona": found, "version": found.newest}
        return await page_render(request, "chat/persona_version.html", context)
    return await _edit(request, found)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def version(request: HttpRequest, persona_id: UUID, number: int) -> HttpResponse:
    """Show what a version says. A posted form makes it the newest again."""
    found = await _read(request, persona_id, own=True)
    shown = await in_database(found.versions.filter(number=min(number, 2**31 - 1)).first)
    if shown is None:
        raise Http404
    if request.method == "POST":
        restored = await _change(restore_version, request.user, persona_id, number)
        told = {"number": number, "newest": restored.newest.number if restored.newest else 0}
        messages.success(request, _("Version %(newest)d says what version %(number)d did.") % told)
        return redirect("chat:persona", persona_id)
    context = {"persona": found, "version": shown}
    return await page_render(request, "chat/persona_version.html", context)


async def _edit(request: HttpRequest, found: Persona) -> HttpResponse:
    named = {"name": found.name, "description": found.description}
    form = PersonaForm(
        request.POST if request.method == "POST" else None,
        initial=named | initial_of(found.newest),
    )
    if request.method == "POST" and form.is_valid():
        save = partial(change_persona, request.user, found.pk, form.fields_told())
        if saved := await _try(form, save):
            number = saved.newest.number if saved.newest else 0
            told = (
                _("Saved as version %(number)d.") if saved.newest != found.newest else _("Saved.")
            )
            messages.success(request, told % {"number": number})
            return redirect("chat:persona", found.pk)
    context = {"persona": found, "form": form, "versions": await _versions(found)}
    return await page_render(request, "chat/persona.html", context | await _models(request.user))


async def _hide(request: HttpRequest, persona_id: UUID, *, hidden: bool) -> HttpResponse:
    changed = await _change(change_persona, request.user, persona_id, {"hidden": hidden})
    told = (
        _("“%(name)s” is hidden. Conversations that use it go on.")
        if hidden
        else _("“%(name)s” can be chosen again.")
    )
    messages.success(request, told % {"name": changed})
    return redirect("chat:personas")


async def _duplicate(request: HttpRequest, persona_id: UUID) -> HttpResponse:
    try:
        made = await _change(duplicate_persona, request.user, persona_id)
    except ChatError as exc:
        messages.error(request, str(exc))
        return redirect("chat:personas")
    messages.success(request, _("This copy is yours to change."))
    return redirect("chat:persona", made.pk)


async def _versions(found: Persona) -> list[Any]:
    shown = found.versions.defer("system_prompt", "starters", "parameters")
    return await in_database(list, shown[:MAX_VERSIONS])


async def _models(user: Any) -> dict[str, Any]:
    return {"model_names": [model.name for model in await models_for(user)]}


async def _read(request: HttpRequest, persona_id: UUID, *, own: bool = False) -> Persona:
    request.user = await request.auser()
    try:
        return await in_database(find_persona, request.user, persona_id, own=own)
    except NotFound:
        raise Http404 from None


async def _change(unit: Callable[..., Persona], *args: Any) -> Persona:
    try:
        return await in_transaction(unit, *args)
    except NotFound:
        raise Http404 from None


async def _try(form: PersonaForm, unit: Callable[[], Persona]) -> Persona | None:
    """Return what a unit of saving returns; None if it refused, for a reason the form then says."""
    try:
        return await in_transaction(unit)
    except NotFound:
        raise Http404 from None
    except ChatError as exc:
        form.add_error(None, str(exc))
        return None


ACTS: dict[str, Act] = {
    "hide": partial(_hide, hidden=True),
    "show": partial(_hide, hidden=False),
    "duplicate": _duplicate,
}

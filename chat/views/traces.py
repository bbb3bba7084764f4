"""
The trace of an answer: its steps, their graph, its text at its own speed, and forks.

Whole without JavaScript. The page's script reads the same HTML again while an
answer is written, and fetches single steps rendered here.
"""

import re
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chat.agents.graph import Graph
from chat.audit import note_view
from chat.errors import ChatError
from chat.generations.forks import fork_conversation
from chat.generations.timing import timed_text
from chat.models import Generation
from chat.traces.access import traceable_by
from chat.traces.details import find_step
from chat.traces.graphs import graph_of, kinds_of
from chat.traces.page import Choice, context_of, drawn_graph, full_step
from chat.traces.rows import rows_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

NUMBER = re.compile("[0-9]{1,9}")
RELATED = ("message__parent", "conversation__forked_at_step__generation", "owner")


@never_cache
@login_required
@require_safe
async def trace(request: HttpRequest, generation_id: UUID) -> HttpResponse:
    """Show the trace. ``?step=`` is the number of a step, ``?all`` asks for the conversation's,
    ``?newest`` for the newest first."""
    return await _page(request, generation_id)


@never_cache
@login_required
@require_POST
async def fork(request: HttpRequest, generation_id: UUID) -> HttpResponse:
    """Fork at the posted ``message`` or ``step`` of the answer's conversation, and lead there."""
    generation = await _find(request, generation_id)
    try:
        made = await fork_conversation(
            _user(request),
            generation.conversation_id,
            message_id=_parse_id(request.POST.get("message", "")),
            step_id=_parse_id(request.POST.get("step", "")),
        )
    except ChatError as exc:
        return await _page(request, generation_id, error=exc)
    return redirect("chat:conversation", made.pk)


@never_cache
@login_required
@require_safe
async def step(request: HttpRequest, generation_id: UUID, sequence: int) -> HttpResponse:
    """Return one step as the page shows it, or with ``?as=json`` its values."""
    generation = await _find(request, generation_id)
    graph = await graph_of(generation.agent)
    return await sync_to_async(_render_step)(request, generation, graph, sequence)


def _render_step(
    request: HttpRequest, generation: Generation, graph: Graph, sequence: int
) -> HttpResponse:
    found = find_step(generation, sequence)
    if found is None:
        raise Http404
    detail = full_step(found, generation, graph, Choice(user=_user(request)))
    if request.GET.get("as") == "json":
        return JsonResponse(detail.as_json(), json_dumps_params={"indent": 2})
    is_owner = generation.owner_id == request.user.pk
    context = {"detail": detail, "generation": generation, "is_owner": is_owner}
    return render(request, "chat/trace/_step.html", context)


@never_cache
@login_required
@require_safe
async def graph(request: HttpRequest, generation_id: UUID) -> HttpResponse:
    """Return the graph with the way taken, as a picture of its own."""
    generation = await _find(request, generation_id)
    known = await graph_of(generation.agent)
    rows = await sync_to_async(rows_of)([generation], kinds_of(known))
    picture = drawn_graph(generation, known, rows, None, standalone=True)
    if picture is None:
        raise Http404
    name = f"{generation.agent or 'answer'}-{generation.pk}.svg"
    disposition = content_disposition_header(as_attachment=True, filename=name)
    return HttpResponse(
        picture,
        content_type="image/svg+xml; charset=utf-8",
        headers={"Content-Disposition": disposition},
    )


@never_cache
@login_required
@require_safe
async def timing(request: HttpRequest, generation_id: UUID) -> HttpResponse:
    """Return when the text came, for whoever may see the trace; the API tells owners the same."""
    generation = await _find(request, generation_id)
    text, marks = await sync_to_async(timed_text)(generation)
    return JsonResponse({"text": text, "marks": marks})


async def _page(
    request: HttpRequest, generation_id: UUID, *, error: ChatError | None = None
) -> HttpResponse:
    generation = await _find(request, generation_id)
    graph = await graph_of(generation.agent)
    return await sync_to_async(_render_page)(request, generation, graph, error)


def _render_page(
    request: HttpRequest, generation: Generation, graph: Graph, error: ChatError | None
) -> HttpResponse:
    number = request.GET.get("step", "")
    choice = Choice(
        user=_user(request),
        step=int(number) if NUMBER.fullmatch(number) else None,
        whole="all" in request.GET,
        newest="newest" in request.GET,
    )
    context = context_of(generation, graph, choice)
    context |= {"error": error, "page_config": page_config(generation, choice)}
    status = error.status if error else 200
    return render(request, "chat/trace/trace.html", context, status=status)


async def _find(request: HttpRequest, generation_id: UUID) -> Generation:
    """Return an answer whose trace the asker may see. Raise Http404."""
    request.user = await request.auser()  # Spares the template a query.
    return await sync_to_async(_find_for)(_user(request), generation_id)


def _find_for(user: "AbstractBaseUser", generation_id: UUID) -> Generation:
    found = get_object_or_404(traceable_by(user).select_related(*RELATED), pk=generation_id)
    if found.owner_id != user.pk:
        note_view(user, found)
    return found


def page_config(generation: Generation, choice: Choice) -> dict[str, Any]:
    """Return what the page's script must know."""
    is_owner = generation.owner_id == choice.user.pk
    events = f"{reverse('chat:home')}api/v1/generations/{generation.pk}/events/"
    return {
        # Only its owner reads events; for staff the page looks again from time to time.
        "events": events if is_owner else None,
        "timing": reverse("chat:trace_timing", args=[generation.pk]),
        "step": reverse("chat:trace_step", args=[generation.pk, 0]),
        "live": not generation.is_terminal,
    }


def _user(request: HttpRequest) -> "AbstractBaseUser":
    return cast("AbstractBaseUser", request.user)


def _parse_id(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None

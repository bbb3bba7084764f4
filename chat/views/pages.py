"""
The pages of the chat, whole without JavaScript: reading, searching and sending.

The page's script reads the same HTML again to catch up with what happened in
another tab, and fetches single messages rendered here.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, get_object_or_404, redirect, render, resolve_url
from django.templatetags.static import static
from django.urls import get_script_prefix, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from chat.errors import ChatError
from chat.generations import start_generation
from chat.llm.registry import ModelInfo, available_models, default_model
from chat.models import Conversation, Generation, Message

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

SIDEBAR_ROWS = 60
WINDOW = 100  # Messages; "show earlier" adds as many again.


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def home(request: HttpRequest) -> HttpResponse:
    """Show an empty chat. A posted prompt starts a conversation and leads to it."""
    return await _chat(request, conversation=None)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Show a conversation along its newest branch. A posted prompt continues it."""
    owned = Conversation.objects.owned_by(await request.auser())
    return await _chat(request, conversation=await aget_object_or_404(owned, pk=conversation_id))


@never_cache
@login_required
@require_safe
def message(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Return one message as the page shows it, or with ``?as=text`` the text as it was written."""
    owned = Message.objects.owned_by(request.user).select_related("generation")
    found = get_object_or_404(owned, pk=message_id)
    if request.GET.get("as") == "text":
        return HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    return render(request, "chat/_message.html", {"message": found})


async def _chat(request: HttpRequest, *, conversation: Conversation | None) -> HttpResponse:
    request.user = await request.auser()  # Spares the template a query.
    error: ChatError | None = None
    if request.method == "POST":
        try:
            return await _send(request, conversation)
        except ChatError as exc:
            error = exc
    models, default = await available_models(), await default_model()
    context = {"error": error, **model_choice(conversation, models, default)}
    return await sync_to_async(_render)(request, conversation, context)


async def _send(request: HttpRequest, conversation: Conversation | None) -> HttpResponse:
    accepted = await start_generation(
        cast("AbstractBaseUser", request.user),
        text=request.POST.get("text", "").replace("\r\n", "\n"),
        key=request.POST.get("key", "")[:128] or secrets.token_hex(16),
        conversation_id=conversation.pk if conversation else None,
        model=request.POST.get("model", ""),
    )
    address = reverse("chat:conversation", args=[accepted.generation.conversation_id])
    return redirect(f"{address}#m-{accepted.generation.message_id}")


def model_choice(
    conversation: Conversation | None, models: Sequence[ModelInfo], default: str
) -> dict[str, Any]:
    """Return the context of the model picker; the chosen model is listed even if it is gone."""
    chosen = (conversation.model if conversation else "") or default
    names = [model.name for model in models]
    return {
        "models": names if chosen in names else [chosen, *names],
        "model": chosen,
        "default_model": default,
        "is_demo": default == "demo",
    }


def _render(
    request: HttpRequest, conversation: Conversation | None, context: dict[str, Any]
) -> HttpResponse:
    windows = request.GET.get("windows", "1")
    count = min(int(windows), 1000) if windows.isdecimal() else 1
    messages, more = newest_branch(conversation, limit=WINDOW * count) if conversation else ([], 0)
    error = context["error"]
    context |= {
        "conversation": conversation,
        "thread": messages,
        "earlier_windows": count + 1 if more else 0,
        "running": [m for m in messages if is_active(m)],
        "draft": request.POST.get("text", "") if error else "",
        "send_key": secrets.token_hex(16),
        "page_config": page_config(conversation),
        **sidebar(request),
    }
    return render(request, "chat/chat.html", context, status=error.status if error else 200)


def page_config(conversation: Conversation | None) -> dict[str, Any]:
    """Return what the page's script must know; the nil id stands where it puts another."""
    return {
        "conversation": str(conversation.pk) if conversation else None,
        "socket": f"{get_script_prefix()}ws/chat/",
        "api": f"{get_script_prefix()}api/v1/",
        "home": reverse("chat:home"),
        "conversation_address": reverse("chat:conversation", args=[UUID(int=0)]),
        "message_address": reverse("chat:message", args=[UUID(int=0)]),
        "trace_address": reverse("chat:trace", args=[UUID(int=0)]),
        "login": resolve_url(settings.LOGIN_URL),
        "live": static("chat/dist/live.js"),
        "groups": [_("Today"), _("Yesterday"), _("Previous 7 days"), _("Previous 30 days")],
    }


def sidebar(request: HttpRequest) -> dict[str, Any]:
    """Return the newest conversations, or those whose title holds the searched text."""
    query = request.GET.get("q", "").strip()[:200]
    rows = Conversation.objects.owned_by(request.user).with_running()
    if query:
        rows = rows.search(query)
    found = list(rows[: SIDEBAR_ROWS + 1])
    return {
        "conversations": found[:SIDEBAR_ROWS],
        "more_conversations": len(found) > SIDEBAR_ROWS,
        "query": query,
    }


def newest_branch(conversation: Conversation, *, limit: int) -> tuple[list[Message], bool]:
    """
    Return the last messages from the root to the newest leaf, and whether there are earlier ones.

    Two queries, whatever the length: the tree's bare ids first, the texts of
    the branch second.
    """
    parents = dict(conversation.messages.order_by("id").values_list("id", "parent_id"))
    branch: list[UUID] = []
    # Ids grow with time and a parent is older than its child: the greatest id is a leaf.
    step = next(reversed(parents), None)
    while step and len(branch) <= limit:
        branch.append(step)
        step = parents[step]
    shown = branch[:limit]
    rows = conversation.messages.filter(pk__in=shown).exclude(role=Message.Role.SYSTEM)
    return list(rows.order_by("id").select_related("generation")), len(branch) > limit


def is_active(message: Message) -> bool:
    """Whether the message's answer is still to be written, in whole or in part."""
    generation: Generation | None = getattr(message, "generation", None)
    return generation is not None and not generation.is_terminal

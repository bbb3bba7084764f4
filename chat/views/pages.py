"""
The pages of the chat, whole without JavaScript: reading, searching and sending.

The page's script reads the same HTML again to catch up with what happened in
another tab, and fetches single messages rendered here.
"""

import secrets
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, get_object_or_404, redirect, render, resolve_url
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import get_language, override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from chat.access import default_for, models_for
from chat.errors import ChatError
from chat.generations import start_generation
from chat.models import Conversation, Generation, Message, Preferences
from chat.views.attached import attach_config, posted_files
from chat.views.branches import add_pagers, window_of
from chat.views.choices import keep_choice, model_choice, read_choice
from chat.views.framing import address_of, chosen_model, frame_config, is_embedded
from chat.views.persona_choice import newer_version, shown_persona, take_persona
from chat.views.preferences import keep_language, unsaid_language
from chat.views.ratings import reason_choices
from chat.views.sidebar import groups, sidebar

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


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
    """Show a conversation along one branch. A posted prompt continues it."""
    owned = Conversation.objects.owned_by(await request.auser()).with_persona()
    return await _chat(request, conversation=await aget_object_or_404(owned, pk=conversation_id))


@never_cache
@login_required
@require_safe
def message(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Return one message as the page shows it, or with ``?as=text`` the text as it was written."""
    owned = Message.objects.owned_by(request.user).select_related("generation", "rating")
    found = get_object_or_404(owned.with_siblings().with_thought(), pk=message_id)
    if request.GET.get("as") == "text":
        return HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    add_pagers([found])
    return render(request, "chat/_message.html", {"message": found})


async def _chat(request: HttpRequest, *, conversation: Conversation | None) -> HttpResponse:
    request.user = await request.auser()  # Spares the template a query.
    error: ChatError | None = None
    if request.method == "POST":
        try:
            return await _send(request, conversation)
        except ChatError as exc:
            error = exc
    user = cast("AbstractBaseUser", request.user)
    models, default = await models_for(user), await default_for(user)
    persona = await shown_persona(request, conversation)
    choice = model_choice(conversation, models, default, persona)
    context = {"error": error, "persona": persona, **choice}
    context["model"] = chosen_model(request, context)
    return await sync_to_async(_in_own_language)(request, conversation, context)


async def _send(request: HttpRequest, conversation: Conversation | None) -> HttpResponse:
    user = cast("AbstractBaseUser", request.user)
    choice = read_choice(request.POST.get("model", ""), conversation)
    persona = await take_persona(user, conversation, request.POST)
    accepted = await start_generation(
        user,
        text=request.POST.get("text", "").replace("\r\n", "\n"),
        key=request.POST.get("key", "")[:128] or secrets.token_hex(16),
        conversation_id=conversation.pk if conversation else None,
        temporary=_is_temporary(request),
        **persona,
        **choice,  # type: ignore[arg-type]
        **await posted_files(user, request),
    )
    await keep_choice(user, conversation, choice)
    address = address_of(request, accepted.generation.conversation_id)
    return redirect(f"{address}#m-{accepted.generation.message_id}")


def _is_temporary(request: HttpRequest) -> bool:
    """Whether a new chat is to be temporary: by the page's address, or by its form."""
    return (request.POST if request.method == "POST" else request.GET).get("temporary") == "1"


def _in_own_language(
    request: HttpRequest, conversation: Conversation | None, context: dict[str, Any]
) -> HttpResponse:
    chosen = Preferences.objects.of(request.user)
    unsaid = unsaid_language(request, chosen)
    with override(unsaid or get_language()):
        response = _render(request, conversation, context | {"preferences": chosen})
    return keep_language(response, unsaid) if unsaid else response


def _render(
    request: HttpRequest, conversation: Conversation | None, context: dict[str, Any]
) -> HttpResponse:
    messages, count, more = window_of(conversation, request.GET.get("windows", ""))
    add_pagers(messages)
    error = context["error"]
    temporary = conversation.temporary if conversation else _is_temporary(request)
    context |= {
        "conversation": conversation,
        "thread": messages,
        "earlier_windows": count + 1 if more else 0,
        "running": [m for m in messages if is_active(m)],
        "draft": request.POST.get("text", "") if error else "",
        "send_key": secrets.token_hex(16),
        "temporary": temporary,
        "newer_persona": newer_version(request.user, conversation),
        "page_config": page_config(conversation, temporary=temporary)
        | {"user": str(request.user.pk)}
        | {"preferences": context["preferences"].as_config()}
        | {"attach": attach_config(context["models"], context["default_model"])},
        "embedded": is_embedded(request),
        **reason_choices(),
    }
    if is_embedded(request):
        context["page_config"] |= frame_config(request)
    else:
        context |= sidebar(request)
    return render(request, "chat/chat.html", context, status=error.status if error else 200)


def page_config(conversation: Conversation | None, *, temporary: bool) -> dict[str, Any]:
    """Return what the page's script must know; the nil id stands where it puts another."""
    home = reverse("chat:home")  # All other addresses begin with it.
    return {
        "conversation": str(conversation.pk) if conversation else None,
        "socket": f"{home}ws/chat/",
        "api": f"{home}api/v1/",
        "home": home,
        "conversation_address": reverse("chat:conversation", args=[UUID(int=0)]),
        "message_address": reverse("chat:message", args=[UUID(int=0)]),
        "trace_address": reverse("chat:trace", args=[UUID(int=0)]),
        "login": resolve_url(settings.LOGIN_URL),
        "live": static("chat/dist/live.js"),
        "options_address": reverse("chat:options", args=[UUID(int=0)]),
        "groups": groups(),
        "temporary": temporary,
    }


def is_active(message: Message) -> bool:
    """Whether the message's answer is still to be written, in whole or in part."""
    generation: Generation | None = getattr(message, "generation", None)
    return generation is not None and not generation.is_terminal

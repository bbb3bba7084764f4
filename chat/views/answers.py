"""
What can be done with a message: the API of going on, and plain forms for all of it.

The page's script asks over its socket instead, but for forks.
"""

import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST
from ninja import Header

from chat.access import default_for, models_for
from chat.errors import ChatError
from chat.generations import regenerate, start_generation
from chat.generations.forks import fork_conversation
from chat.models import Message
from chat.views import schemas
from chat.views.api import answer
from chat.views.api import api as api
from chat.views.choices import model_choice, read_choice
from chat.views.schemas import ERRORS

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


@api.post(
    "/messages/{uuid:message_id}/continue/",
    response={202: schemas.Accepted, **ERRORS},
    summary="Go on from an answer that broke off, beside it",
)
async def continue_message(
    request: HttpRequest,
    message_id: UUID,
    payload: schemas.Continue,
    idempotency_key: Header[str | None] = None,
) -> Any:
    start = partial(
        regenerate,
        request.auth.user,  # type: ignore[attr-defined]  # Set by ninja.
        message_id=message_id,
        key=idempotency_key or str(uuid4()),
        model=payload.model,
        continues=True,
    )
    return await answer(request, start)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def again(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Ask who is to answer again. A posted form has them do so, or the conversation's own."""
    _, message = await _find(request, message_id, Message.Role.ASSISTANT)
    if request.method != "POST":
        return await _page(request, message, "again")
    value = request.POST.get("model", "")
    choice = read_choice(value, message.conversation) if value else {}
    key = _key(request, "again", message_id, value)
    return await _regenerate(request, message, key, **choice)


@never_cache
@login_required
@require_POST
async def go_on(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Go on from an answer that broke off, and lead to the new one."""
    _, message = await _find(request, message_id, Message.Role.ASSISTANT)
    key = _key(request, "continue", message_id)
    return await _regenerate(request, message, key, continues=True)


async def _regenerate(
    request: HttpRequest, message: Message, key: str, **options: Any
) -> HttpResponse:
    """Lead to the answer that is now beside another one, or say why there is none."""
    user = cast("AbstractBaseUser", request.user)
    try:
        accepted = await regenerate(user, message_id=message.pk, key=key, **options)
    except ChatError as exc:
        return await _page(request, message, "again", exc)
    return _to(request, message.conversation_id, accepted.generation.message_id)


@never_cache
@login_required
@require_POST
async def fork(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Begin a conversation with a copy of all up to a message, and lead there."""
    user, message = await _find(request, message_id)
    try:
        made = await fork_conversation(user, message.conversation_id, message_id=message_id)
    except ChatError as exc:
        return await _page(request, message, "", exc)
    return _to(request, made.pk)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def edit(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Show a prompt to be edited. What is posted is asked beside it, and led to."""
    user, message = await _find(request, message_id, Message.Role.USER)
    if request.method != "POST":
        return await _page(request, message, "edit")
    text = request.POST.get("text", "").replace("\r\n", "\n")
    try:
        accepted = await start_generation(
            user,
            text=text,
            key=_key(request, "edit", message_id),
            conversation_id=message.conversation_id,
            parent_id=message.parent_id,
        )
    except ChatError as exc:
        message.text = text
        return await _page(request, message, "edit", exc)
    return _to(request, message.conversation_id, accepted.prompt.pk)


async def _find(
    request: HttpRequest, message_id: UUID, role: str = ""
) -> tuple["AbstractBaseUser", Message]:
    request.user = await request.auser()  # Spares the template a query.
    owned = Message.objects.owned_by(request.user).select_related("conversation")
    message = await aget_object_or_404(owned, pk=message_id)
    if role and message.role != role:
        raise Http404
    return cast("AbstractBaseUser", request.user), message


async def _page(
    request: HttpRequest, message: Message, part: str, error: ChatError | None = None
) -> HttpResponse:
    """Show what there is to fill in, and what went wrong."""
    user = cast("AbstractBaseUser", request.user)
    models, default = await models_for(user), await default_for(user)
    choice = model_choice(message.conversation, models, default)
    context = choice | {
        "message": message,
        "part": part,
        "error": error and error.as_dict(),
        "send_key": secrets.token_hex(16),
        "embedded": _is_embedded(request),
        "back": _address(request, message.conversation_id, message.pk),
    }
    status = error.status if error else 200
    return await sync_to_async(render)(request, "chat/message_form.html", context, status=status)


def _key(request: HttpRequest, what: str, message_id: UUID, value: str = "") -> str:
    """Return the key of a form: the same one sent twice asks once."""
    posted = request.POST.get("key", "") or secrets.token_hex(16)
    return f"{posted[:32]}-{what}-{message_id}-{value}"[:128]


def _to(
    request: HttpRequest, conversation_id: UUID, message_id: UUID | None = None
) -> HttpResponse:
    return redirect(_address(request, conversation_id, message_id))


def _address(request: HttpRequest, conversation_id: UUID, message_id: UUID | None) -> str:
    name = "embed_conversation" if _is_embedded(request) else "conversation"
    address = reverse(f"chat:{name}", args=[conversation_id])
    return f"{address}#m-{message_id}" if message_id else address


def _is_embedded(request: HttpRequest) -> bool:
    return "embedded" in request.GET or bool(request.POST.get("embedded"))

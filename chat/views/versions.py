"""Another version of a message, by a plain form: the page's script calls the API instead."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from chat.errors import NotFound
from chat.models import Message
from chat.views import conversations, schemas


@never_cache
@login_required
@require_POST
async def show(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Show the branch through the message that the form names, and lead to it."""
    user: Any = await request.auser()
    message = await aget_object_or_404(Message.objects.owned_by(user), pk=message_id)
    try:
        leaf = UUID(request.POST.get("leaf", ""))
        change = schemas.ConversationChange(leaf=leaf)
        await conversations.change(user, message.conversation_id, change)
    except (NotFound, ValueError):
        raise Http404 from None
    name = "embed_conversation" if "embedded" in request.GET else "conversation"
    return redirect(f"{reverse(f'chat:{name}', args=[message.conversation_id])}#m-{leaf}")

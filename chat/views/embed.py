"""The chat as `{% chat_embed %}` shows it: without the list of conversations, in a frame."""

from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from chat.views import pages
from chat.views.framing import let_own_pages_frame


@never_cache
async def embed(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponseBase:
    """Show an empty chat or a conversation. Whoever is signed out is told so in the frame."""
    request.user = await request.auser()
    response: HttpResponseBase
    if not request.user.is_authenticated:
        # A sign-in page refuses to be shown in a frame.
        response = await sync_to_async(render)(request, "chat/embed_signed_out.html", status=403)
    elif conversation_id is None:
        response = await pages.home(request)
    else:
        response = await pages.conversation(request, conversation_id)
    let_own_pages_frame(response)
    return response

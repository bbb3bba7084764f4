"""
The dialects at ``/ask``: asked by address, text events up to ``[DONE]``; posted, plain text.

Beside them the page that shows the first, for people.
"""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from chat.conf import chat_settings
from chat.errors import ChatError
from chat.identity import Identity
from chat.views import streams
from chat.views.dialects import endpoint, json_body
from chat.views.follow import follow_to_end
from chat.views.raw import ask as start_asking
from chat.views.raw import error_response, text_events
from chat.views.streams import Place
from chat.views.texts import PLAIN, text_response
from chat.wire.raw import DoneEncoder
from chat.wire.raw_request import parse_told, query_msg

METHODS = ("GET", "HEAD", "POST")


@csrf_exempt
async def ask(request: HttpRequest) -> HttpResponseBase:
    """Two dialects have one address, and errors of their own."""
    return await (_ask_by_post if request.method == "POST" else _ask_by_address)(request)


@never_cache
@require_safe
def demo(request: HttpRequest) -> HttpResponse:
    """Show the page that asks by address, to whom that answers."""
    if not request.user.is_authenticated and not chat_settings().open_dialects:
        return redirect_to_login(request.get_full_path())
    return render(request, "chat/ask_demo.html")


def _tell_in_words(error: ChatError) -> HttpResponse:
    return streams.error_response(error, body=str(error), content_type=PLAIN)


@endpoint(*METHODS, tell=error_response)
async def _ask_by_address(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    return await text_events(
        request, identity, question=lambda: query_msg(request.GET), encoder=DoneEncoder
    )


@endpoint(*METHODS, tell=_tell_in_words)
async def _ask_by_post(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    """Answer with text alone, in the conversation that the messages tell of."""
    *history, (_, prompt) = parse_told(json_body(request))
    place = Place(identity)
    with place.held as held:
        generation = await start_asking(request, identity, prompt, history=history)
        batches = follow_to_end(generation.pk, reader=place.reader)
        return await text_response(request, batches, held)

"""
The dialects at ``/ask``: asked by address, text events up to ``[DONE]``; posted, plain text.

Beside them the page that shows the first, for people.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from chat.broken import break_off
from chat.conf import chat_settings
from chat.errors import ChatError
from chat.identity import Identity
from chat.views import streams
from chat.views.dialects import endpoint, json_body
from chat.views.raw import NotWhole, answer_texts, error_response, text_events
from chat.views.raw import ask as start_asking
from chat.views.streams import Place, TextStreamResponse
from chat.wire.raw import DoneEncoder
from chat.wire.raw_request import parse_told, query_msg

logger = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST")
PLAIN = "text/plain; charset=utf-8"


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
    """
    Answer with text alone, in the conversation that the messages tell of.

    An error is a status only as long as there is no text: so the first is waited for.
    """
    *history, (_, prompt) = parse_told(json_body(request))
    place = Place(identity)
    with place.held as held:
        generation = await start_asking(request, identity, prompt, history=history)
        texts = answer_texts(generation, place.reader)
        try:
            first = await anext(texts, "")
        except NotWhole as exc:
            return HttpResponse(exc.reason.message, status=exc.reason.status, content_type=PLAIN)
        return TextStreamResponse(_whole(request, first, texts), reader=held.pop_all())


async def _whole(
    request: HttpRequest, first: str, rest: AsyncGenerator[str, None]
) -> AsyncGenerator[str, None]:
    """Yield an answer's text, and break off where it fails: there is no other way to tell."""
    try:
        async with aclosing(rest):
            if first:
                yield first
            async for text in rest:
                yield text
    except Exception as exc:
        break_off(request.scope)  # type: ignore[attr-defined]
        if not isinstance(exc, NotWhole | ChatError):
            logger.exception("A reader of an answer's text failed")

"""The AI SDK's chat and completion endpoints, over the one event log."""

import functools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chat import ai_chats
from chat.errors import BadRequest, ChatError
from chat.generations import start_generation
from chat.identity import Identity
from chat.models import Generation
from chat.views import dialects, streams
from chat.views.dialects import json_body
from chat.views.follow import Batches, Encoder, follow_to_end, frames
from chat.views.leaving import ReadersAnswer, accepted_for_reader
from chat.views.streams import EventStreamResponse, Place, TextStreamResponse, nothing
from chat.views.texts import PLAIN, text_response
from chat.wire import ai_data, ai_sdk
from chat.wire.ai_request import parse_chat, parse_completion, parse_stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One of the dialect's kinds of streams."""

    encoder: Callable[[ai_sdk.Head], Encoder]
    response: type[EventStreamResponse] = EventStreamResponse
    headers: Mapping[str, str] = field(default_factory=dict)


UI_STREAM = Form(encoder=ai_sdk.StreamEncoder, headers=ai_sdk.HEADERS)
DATA_STREAM = Form(
    encoder=lambda head: ai_data.LineEncoder(),
    response=TextStreamResponse,
    headers=ai_data.HEADERS,
)
FORMS = {"": UI_STREAM, "data-v1": DATA_STREAM}
TEXT = "text"  # In place of a form: nothing but the answer.


def error_response(error: ChatError) -> HttpResponse:
    """Return an error as the short text that the client shows to its user."""
    response = streams.error_response(error, body=str(error), content_type=PLAIN)
    if isinstance(error, BadRequest):
        response.status_code = 422
    return response


endpoint = functools.partial(dialects.endpoint, tell=error_response)


@endpoint("POST")
async def chat(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    """Answer what the messages end with. A client that leaves stops nothing."""
    form = _form(request)
    asked = parse_chat(json_body(request))
    place = Place(identity)
    with place.held as held:
        key = request.headers.get("Idempotency-Key", "")
        accepted = await ai_chats.ask(identity.user, asked, key=key)
        return _read(accepted.generation, form, place, held)


@endpoint("GET", "HEAD", "DELETE", safe={"GET", "HEAD"})
async def stream(request: HttpRequest, identity: Identity, chat_id: str) -> HttpResponseBase:
    """
    Return all of the answer that is being written, and go on with it; or stop it.

    204 where none is: unknown chats, and those of others, are answered alike.
    """
    if request.method == "DELETE":
        await ai_chats.stop(identity.user, chat_id)
        return _nothing()
    form = _form(request)
    generation = await ai_chats.find_running(identity.user, chat_id)
    if generation is None:
        return _nothing()
    if request.method == "HEAD":
        return form.response(nothing(), reader=ExitStack())
    place = Place(identity)
    with place.held as held:
        return _read(generation, form, place, held)


@endpoint("POST")
async def stop(request: HttpRequest, identity: Identity, chat_id: str) -> HttpResponse:
    """Stop the answer that is being written. Idempotent, and alike for unknown chats."""
    asked = parse_stop(json_body(request)) if request.body else None
    await ai_chats.stop(identity.user, chat_id, message=asked.messageId if asked else "")
    return _nothing()


@endpoint("POST")
async def completion(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    """Answer a prompt by itself. Its client cannot come back: leaving stops the answer."""
    protocol = request.GET.get("protocol", "")
    if protocol not in {"", TEXT}:
        raise BadRequest(f"protocol: leave it out, or use {TEXT}.")
    asked = parse_completion(json_body(request))
    place = Place(identity)
    with place.held as held:
        accepted = await accepted_for_reader(
            start_generation(
                identity.user,
                text=asked.prompt,
                key=request.headers.get("Idempotency-Key") or str(uuid4()),
                model=asked.model,
                agent=asked.agent,
            )
        )
        answer = ReadersAnswer(accepted)
        held.callback(answer.leave)
        batches = answer.batches(place.reader)
        if protocol == TEXT:
            return await text_response(request, batches, held)
        return _stream(batches, accepted.generation, UI_STREAM, held)


def _form(request: HttpRequest) -> Form:
    form = FORMS.get(request.GET.get("protocol", ""))
    if form is None:
        raise BadRequest("protocol: leave it out, or use data-v1.")
    return form


def _read(generation: Generation, form: Form, place: Place, held: ExitStack) -> EventStreamResponse:
    return _stream(follow_to_end(generation.pk, reader=place.reader), generation, form, held)


def _stream(
    batches: Batches, generation: Generation, form: Form, held: ExitStack
) -> EventStreamResponse:
    head = ai_sdk.Head(conversation=str(generation.conversation_id), generation=str(generation.pk))
    texts = frames(batches, form.encoder(head), generation_id=generation.pk)
    response = form.response(texts, reader=held.pop_all())
    for name, value in form.headers.items():
        response[name] = value
    return response


def _nothing() -> HttpResponse:
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})

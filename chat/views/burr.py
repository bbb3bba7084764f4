"""The API of Burr's streaming chat page: applications are made, asked, and read again."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chat.database import in_database, in_transaction
from chat.errors import BadRequest, ChatError
from chat.events import encode_json
from chat.failpoints import reach
from chat.generations import Accepted, notify_conversation, start_generation
from chat.generations.history import newest_end
from chat.identity import Identity
from chat.models import Conversation, Message
from chat.readers import Reader
from chat.views import burr_apps, dialects, streams
from chat.views.burr_apps import App
from chat.views.follow import Batches, follow_to_end, frames
from chat.views.streams import EventStreamResponse, Place
from chat.wire import burr
from chat.wire.burr_requests import PromptInput
from chat.wire.forms import Unprocessable, parse_body, wrong


def error_response(error: ChatError) -> HttpResponse:
    """Return one of the site's errors as Burr's server would tell it, and as the site does."""
    if isinstance(error, BadRequest) and not isinstance(error, Unprocessable):
        error = wrong("body", message=str(error))
    detail = error.detail if isinstance(error, Unprocessable) else str(error)
    body = encode_json({"detail": detail, "error": error.as_dict()})
    return streams.error_response(error, body=body)


def json_response(value: Any) -> HttpResponse:
    return HttpResponse(
        encode_json(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )


endpoint = partial(dialects.endpoint, tell=error_response)


@endpoint("POST")
async def create(
    request: HttpRequest, identity: Identity, project_id: str, app_id: str
) -> HttpResponse:
    """Make an application, or find it: it has that name afterwards."""
    app = App(project_id, app_id)
    await _find_or_create(identity, app)
    return json_response(app.id)


@endpoint("GET", "HEAD")
async def history(
    request: HttpRequest, identity: Identity, project_id: str, app_id: str
) -> HttpResponse:
    """Return what was said in an application, nothing in one that is not there yet."""
    return json_response(await in_database(_history, identity, App(project_id, app_id)))


@endpoint("POST")
async def respond(
    request: HttpRequest, identity: Identity, project_id: str, app_id: str
) -> HttpResponseBase:
    """
    Answer a prompt, after those that wait in the application already.

    A client that leaves changes nothing: the answer goes on and is kept.
    """
    app = App(project_id, app_id)
    asked = parse_body(PromptInput, dialects.json_body(request))
    place = Place(identity)
    with place.held as held:
        accepted = await start_generation(
            identity.user,
            text=asked.prompt,
            key=request.headers.get("Idempotency-Key") or str(uuid4()),
            conversation_id=(await _find_or_create(identity, app)).pk,
        )
        reach("after-accept")
        return EventStreamResponse(_frames(accepted, place.reader), reader=held.pop_all())


async def _find_or_create(identity: Identity, app: App) -> Conversation:
    user = identity.user
    found, is_new = await in_transaction(burr_apps.find_or_create, user, app)
    if is_new:
        await notify_conversation(user.pk, found.pk, "created", title=found.title)
    return found


def _history(identity: Identity, app: App) -> list[burr.Item]:
    conversation = burr_apps.find(identity.user, app)
    return burr_apps.history(newest_end(conversation)) if conversation else []


async def _frames(accepted: Accepted, reader: Reader) -> AsyncGenerator[str, None]:
    """Yield what was said before, then the answer as it is written, in small writes."""
    encoder = burr.FrameEncoder()
    batches = _batches(accepted, reader, encoder)
    texts = frames(batches, encoder, generation_id=accepted.generation.pk)
    async with aclosing(texts):
        async for text in texts:
            for write in burr.writes(text):
                yield write


async def _batches(accepted: Accepted, reader: Reader, encoder: burr.FrameEncoder) -> Batches:
    encoder.tell_first(await _history_before(accepted))
    yield []
    waits = accepted.position > 0
    followed = follow_to_end(accepted.generation.pk, reader=reader)
    async with aclosing(followed):
        async for batch in followed:
            if batch and waits:
                waits = False  # What was written when it was asked is whole now.
                encoder.tell_first(await _history_before(accepted))
            yield batch


async def _history_before(accepted: Accepted) -> str:
    before = Message.objects.filter(children=accepted.prompt)
    items = await in_database(lambda: burr_apps.history(before.first()))
    return burr.chat_history(items)

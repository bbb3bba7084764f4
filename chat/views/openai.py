"""The OpenAI-compatible API: models and chat completions, over the one event log."""

import functools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from chat.access import find_groups, models_for
from chat.agents.registry import agent_entries
from chat.errors import ChatError, NotAuthenticated, NotFound, UnknownModel
from chat.events import encode_json
from chat.identity import Identity, identify_request
from chat.llm import served
from chat.views import dialects
from chat.views.completions import Completion, apart, begin
from chat.views.dialects import View
from chat.views.streams import EventStreamResponse, Place
from chat.wire import openai
from chat.wire.openai_request import AGENT, parse_request

NO_KEY = (
    "Send an API key of this site as 'Authorization: Bearer …'. Keys are made on the account page."
)


def error_response(error: ChatError) -> HttpResponse:
    """Return one of the site's errors in the dialect's envelope."""
    response = failure_response(openai.failure_from(error))
    if error.retry_after is not None:
        response["Retry-After"] = str(max(1, round(error.retry_after)))
    if response.status_code == 409:
        response["x-should-retry"] = "false"  # Clients repeat a 409 by themselves; it stays one.
    return response


def failure_response(failure: openai.Failure) -> HttpResponse:
    """Return a failure as JSON with its status."""
    return HttpResponse(
        failure.body,
        status=failure.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _identify(request: HttpRequest) -> Identity:
    identity = None
    if "Authorization" in request.headers:
        identity = await identify_request(request)
    if identity is None:
        raise NotAuthenticated(NO_KEY)
    return identity


def endpoint(*methods: str) -> Callable[[View], View]:
    """
    Let in who has an API key, answer every error in the dialect's envelope.

    A session is not looked at, so no page of another site can ask in its name.
    """

    def decorate(view: View) -> View:
        answer = dialects.endpoint(*methods, tell=error_response, identify=_identify)(view)

        @csrf_exempt
        @functools.wraps(view)
        async def numbered(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
            response = await answer(request, **parameters)
            response["x-request-id"] = f"req_{uuid4().hex}"
            return response

        return numbered

    return decorate


@endpoint("GET", "HEAD")
async def list_models(request: HttpRequest, identity: Identity) -> HttpResponse:
    return _json({"object": "list", "data": await _models(identity)})


@endpoint("GET", "HEAD")
async def get_model(request: HttpRequest, identity: Identity, name: str) -> HttpResponse:
    for model in await _models(identity):
        if model["id"] == name:
            return _json(model)
    raise UnknownModel(f"There is no model {name[:100]!r} in the list of models.")


async def _models(identity: Identity) -> list[dict[str, Any]]:
    found = await models_for(identity.user)
    models = [openai.model(each.name, owned_by=each.provider) for each in found]
    return models + [openai.model(f"{AGENT}{name}", owned_by="agent") for name in agent_entries()]


@endpoint("POST")
async def create_completion(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    """
    Answer what the messages end with, as a conversation of the key's owner.

    A client that leaves before the end stops the answer.
    """
    asked = parse_request(request.body)
    is_flowno = request.headers.get("User-Agent", "").startswith("Flowno/")
    groups = await find_groups(identity.user.pk)
    if is_flowno and not (asked.agent or served.is_usable(asked.model, groups)):
        asked = asked.model_copy(update={"model": ""})  # Its programs name one in their code.
    place = Place(identity)
    with place.held as held:
        completion = await begin(asked, identity, key=request.headers.get("Idempotency-Key"))
        held.callback(completion.leave)
        if asked.stream:
            frames = completion.frames(place.reader)
            if is_flowno:
                frames = apart(frames)
            return EventStreamResponse(frames, reader=held.pop_all())
        return await _whole(completion, place)


async def _whole(completion: Completion, place: Place) -> HttpResponse:
    events = await completion.events(place.reader)
    if completion.has_failed(events):
        response = failure_response(openai.failure_of(events[-1]))
        # The answer was begun and has been tried again upstream: not all of it once more.
        response["x-should-retry"] = "false"
        return response
    return _json(openai.completion(completion.head, events))


@endpoint("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
async def unknown(request: HttpRequest, identity: Identity, rest: str) -> HttpResponse:
    raise NotFound("There are /models, /models/{id} and /chat/completions here.")


def _json(value: Any) -> HttpResponse:
    return HttpResponse(
        encode_json(value), content_type="application/json", headers={"Cache-Control": "no-store"}
    )

"""The HTTP API, version 1. Its OpenAPI document is made from these functions."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Header, Query, Status

from chat.access import models_for
from chat.agents.registry import available_agents
from chat.database import in_database
from chat.errors import NotFound
from chat.failpoints import reach
from chat.generations import (
    Accepted,
    Parent,
    current_cursor,
    regenerate,
    start_generation,
    stop_generation,
)
from chat.generations.forks import fork_conversation
from chat.generations.removal import delete_conversation as delete
from chat.generations.steps import steps_of
from chat.generations.timing import timed_text
from chat.identity import Identity
from chat.models import Generation, Message, load_files
from chat.views import agent_schemas, conversations, model_schemas, schemas
from chat.views.door import api as api
from chat.views.schemas import ERRORS
from chat.views.streams import Place, event_stream, long_poll, parse_cursor


@api.get("/models/", response={200: model_schemas.Models, **ERRORS}, summary="List models")
async def list_models(request: HttpRequest) -> Any:
    return {"items": [model_schemas.as_model(model) for model in await models_for(_user(request))]}


@api.get(
    "/agents/", response={200: agent_schemas.Agents, **ERRORS}, summary="List agents and graphs"
)
async def list_agents(request: HttpRequest) -> Any:
    return {"items": [agent_schemas.as_agent(agent) for agent in await available_agents()]}


@api.get(
    "/conversations/",
    response={200: schemas.ConversationPage, **ERRORS},
    summary="List or search conversations",
)
async def list_conversations(request: HttpRequest, page: Query[schemas.ConversationQuery]) -> Any:
    return await in_database(conversations.list_page, _user(request), page)


@api.post(
    "/conversations/",
    response={201: schemas.Conversation, **ERRORS},
    summary="Create a conversation",
)
async def create_conversation(request: HttpRequest, payload: schemas.NewConversation) -> Any:
    return Status(201, await conversations.create(_user(request), payload))


@api.get(
    "/conversations/{uuid:conversation_id}/",
    response={200: schemas.Conversation, **ERRORS},
    summary="Read a conversation",
)
async def get_conversation(request: HttpRequest, conversation_id: UUID) -> Any:
    return await in_database(conversations.find, _user(request), conversation_id)


@api.patch(
    "/conversations/{uuid:conversation_id}/",
    response={200: schemas.Conversation, **ERRORS},
    summary="Change a conversation",
)
async def change_conversation(
    request: HttpRequest, conversation_id: UUID, payload: schemas.ConversationChange
) -> Any:
    return await conversations.change(_user(request), conversation_id, payload)


@api.delete(
    "/conversations/{uuid:conversation_id}/",
    response={204: None, **ERRORS},
    summary="Delete a conversation, stopping what runs in it; it can be restored for a while",
)
async def delete_conversation(
    request: HttpRequest, conversation_id: UUID, permanently: bool = False
) -> Any:
    await delete(_user(request), conversation_id, permanently=permanently)
    return Status(204, None)


@api.get(
    "/conversations/{uuid:conversation_id}/messages/",
    response={200: schemas.MessagePage, **ERRORS},
    summary="Read the tree of messages, oldest first",
)
async def list_messages(
    request: HttpRequest, conversation_id: UUID, page: Query[schemas.PageQuery]
) -> Any:
    return await in_database(conversations.list_messages, _user(request), conversation_id, page)


@api.post(
    "/conversations/{uuid:conversation_id}/messages/",
    response={202: schemas.Accepted, **ERRORS},
    summary="Send a prompt; with Accept: text/event-stream, follow its answer",
)
async def send_message(
    request: HttpRequest,
    conversation_id: UUID,
    payload: schemas.NewMessage,
    idempotency_key: Header[str | None] = None,
) -> Any:
    user = _user(request)
    if idempotency_key is None and "Last-Event-ID" in request.headers:
        # A client that lost its stream repeats its request; it is not asking again.
        generation = await in_database(conversations.find_asked, user, conversation_id, payload)
        return await event_stream(
            generation, after=parse_cursor(request), identity=_identity(request), posted=True
        )
    start = partial(
        start_generation,
        user,
        text=payload.text,
        key=idempotency_key or str(uuid4()),
        conversation_id=conversation_id,
        parent_id=payload.parent if "parent" in payload.model_fields_set else Parent.NEWEST,
        model=payload.model,
        agent=payload.agent,
        attachments=payload.attachments,
    )
    return await answer(request, start)


@api.post(
    "/conversations/{uuid:conversation_id}/fork/",
    response={201: schemas.Conversation, **ERRORS},
    summary="Begin a conversation with a copy of what led to a message or a step",
)
async def fork(request: HttpRequest, conversation_id: UUID, payload: schemas.Fork) -> Any:
    fork = await fork_conversation(
        _user(request), conversation_id, message_id=payload.message, step_id=payload.step
    )
    return Status(201, fork)


@api.post(
    "/messages/{uuid:message_id}/regenerate/",
    response={202: schemas.Accepted, **ERRORS},
    summary="Answer a prompt again, beside an answer that stays",
)
async def regenerate_message(
    request: HttpRequest,
    message_id: UUID,
    payload: schemas.Regenerate,
    idempotency_key: Header[str | None] = None,
) -> Any:
    start = partial(
        regenerate,
        _user(request),
        message_id=message_id,
        key=idempotency_key or str(uuid4()),
        model=payload.model,
        agent=payload.agent,
    )
    return await answer(request, start)


@api.get(
    "/generations/{uuid:generation_id}/",
    response={200: schemas.Generation, **ERRORS},
    summary="Read a generation",
)
async def get_generation(request: HttpRequest, generation_id: UUID) -> Any:
    return await _described(await _find(request, generation_id))


@api.get(
    "/generations/{uuid:generation_id}/steps/",
    response={200: agent_schemas.Steps, **ERRORS},
    summary="Read what was done to give an answer, oldest first; tracebacks are for staff",
)
async def list_steps(request: HttpRequest, generation_id: UUID) -> Any:
    steps = await in_database(steps_of, await _find(request, generation_id))
    is_staff = getattr(_user(request), "is_staff", False)
    return {"items": [agent_schemas.as_step(step, with_traceback=is_staff) for step in steps]}


@api.get(
    "/generations/{uuid:generation_id}/events/",
    response={200: schemas.Events, 204: None, **ERRORS},
    summary="Follow a generation: an event stream, or with Accept: application/json a long-poll",
)
async def generation_events(
    request: HttpRequest, generation_id: UUID, after: str = "0", wait: float = 0
) -> HttpResponseBase:
    generation = await _find(request, generation_id)
    cursor = parse_cursor(request, after)
    if _wants(request, "application/json"):
        return await long_poll(generation, after=cursor, wait=wait, identity=_identity(request))
    return await event_stream(generation, after=cursor, identity=_identity(request))


@api.get(
    "/generations/{uuid:generation_id}/timing/",
    response={200: schemas.Timing, **ERRORS},
    summary="Read when the text of an answer came, to play it again at its own speed",
)
async def generation_timing(request: HttpRequest, generation_id: UUID) -> Any:
    generation = await _find(request, generation_id)
    text, marks = await in_database(timed_text, generation)
    return {"generation": generation.pk, "text": text, "marks": marks}


@api.post(
    "/generations/{uuid:generation_id}/stop/",
    response={200: schemas.Generation, **ERRORS},
    summary="Stop a generation; idempotent",
)
async def stop(request: HttpRequest, generation_id: UUID) -> Any:
    return await _described(await stop_generation(await _find(request, generation_id)))


def _identity(request: HttpRequest) -> Identity:
    found: Identity = request.auth  # type: ignore[attr-defined]  # Set by ninja.
    return found


def _user(request: HttpRequest) -> Any:
    return _identity(request).user


def _wants(request: HttpRequest, media_type: str) -> bool:
    """Is the type named? ``*/*`` names none, so the default of each view stands."""
    return media_type in request.headers.get("Accept", "")


async def _find(request: HttpRequest, generation_id: UUID) -> Generation:
    owned = Generation.objects.owned_by(_user(request))
    generation = await in_database(owned.filter(pk=generation_id).first)
    if generation is None:
        raise NotFound
    return generation


async def _as_message(prompt: Message) -> dict[str, Any]:
    if prompt.attached:
        await in_database(load_files, [prompt])
    return schemas.as_message(prompt)


async def _described(generation: Generation) -> dict[str, Any]:
    return schemas.as_generation(generation, cursor=await current_cursor(generation))


async def answer(request: HttpRequest, start: Callable[[], Awaitable[Accepted]]) -> Any:
    """Accept, and answer with what was accepted or with its events, as the client wants."""
    if _wants(request, "text/event-stream"):
        after, place = parse_cursor(request), Place(_identity(request))
        try:
            accepted = await start()
            reach("after-accept")
        except BaseException:
            place.held.close()
            raise
        return await event_stream(
            accepted.generation,
            after=after,
            identity=_identity(request),
            place=place,
            posted=True,
        )
    accepted = await start()
    reach("after-accept")
    return 202, {
        "message": await _as_message(accepted.prompt),
        "generation": await _described(accepted.generation),
        "position": accepted.position,
    }

"""The HTTP API of the prompts that wait, and the form that takes one back without a script."""

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, redirect
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST
from ninja import Schema
from pydantic import Field, StrictInt

from chat.errors import NotQueued
from chat.generations.queue import change_queued, queue_of, send_now, withdraw
from chat.models import Generation
from chat.views.api import api as api
from chat.views.schemas import ERRORS, Strict
from chat.wire.frames import Text


class Queued(Schema):
    generation: UUID
    message: UUID
    answer: UUID
    text: str
    place: int
    movable: bool
    attached: int


class Queue(Schema):
    items: list[Queued]


class QueuedChange(Strict):
    text: Text | None = None
    place: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None


class Withdrawn(Schema):
    generation: UUID
    text: str


@api.get(
    "/conversations/{uuid:conversation_id}/queue/",
    response={200: Queue, **ERRORS},
    summary="Read what waits in a conversation, the next prompt first",
)
async def get_queue(request: HttpRequest, conversation_id: UUID) -> Any:
    return {"items": await queue_of(_user(request), conversation_id)}


@api.patch(
    "/generations/{uuid:generation_id}/",
    response={200: Queue, **ERRORS},
    summary="Give a prompt that waits another text, or another place in the queue",
)
async def change_generation(
    request: HttpRequest, generation_id: UUID, payload: QueuedChange
) -> Any:
    changes = payload.model_dump()
    return {"items": await change_queued(_user(request), generation_id, **changes)}


@api.post(
    "/generations/{uuid:generation_id}/send-now/",
    response={200: Queue, **ERRORS},
    summary="Make a prompt that waits the next one, and stop the answer that is being written",
)
async def send_generation_now(request: HttpRequest, generation_id: UUID) -> Any:
    return {"items": await send_now(_user(request), generation_id)}


@api.post(
    "/generations/{uuid:generation_id}/withdraw/",
    response={200: Withdrawn, **ERRORS},
    summary="Take a prompt out of the queue, and have its text back",
)
async def withdraw_generation(request: HttpRequest, generation_id: UUID) -> Any:
    text = await withdraw(_user(request), generation_id)
    return {"generation": generation_id, "text": text}


@never_cache
@login_required
@require_POST
async def take_back(request: HttpRequest, generation_id: UUID) -> HttpResponse:
    """Take a prompt out of the queue and lead back to its conversation, whatever became of it."""
    user: Any = await request.auser()
    generation = await aget_object_or_404(Generation.objects.owned_by(user), pk=generation_id)
    with suppress(NotQueued):  # Then the page shows what it is now.
        await withdraw(user, generation_id)
    return redirect("chat:conversation", generation.conversation_id)


def _user(request: HttpRequest) -> Any:
    return request.auth.user  # type: ignore[attr-defined]  # Set by ninja.

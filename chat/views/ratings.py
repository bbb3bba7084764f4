"""The HTTP API of ratings, and their page: the chat's script rates in its place instead."""

from typing import Annotated, Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods
from ninja import Status
from pydantic import Field

from chat.errors import ChatError, NotFound
from chat.generations.ratings import find_message, may_be_rated, rate, remove_rating
from chat.models import Message, Rating
from chat.models.ratings import MAX_COMMENT, Bad, Good
from chat.text import clean_text
from chat.views import schemas
from chat.views.api import api as api
from chat.views.schemas import ERRORS, RatingValue, Strict
from chat.wire.frames import Text

REASONS = len(Good) + len(Bad)


class NewRating(Strict):
    value: RatingValue
    reasons: Annotated[list[Good | Bad], Field(max_length=REASONS)] = []
    comment: Annotated[Text, Field(max_length=MAX_COMMENT)] = ""


@api.put(
    "/messages/{uuid:message_id}/rating/",
    response={200: schemas.Rating, **ERRORS},
    summary="Rate an answer, in the place of an earlier rating",
)
async def put_rating(request: HttpRequest, message_id: UUID, payload: NewRating) -> Any:
    user: Any = request.auth.user  # type: ignore[attr-defined]  # Set by ninja.
    reasons = [str(reason.value) for reason in payload.reasons]
    return await rate(
        user, message_id, value=payload.value, reasons=reasons, comment=payload.comment
    )


@api.delete(
    "/messages/{uuid:message_id}/rating/",
    response={204: None, **ERRORS},
    summary="Take the rating of an answer back; idempotent",
)
async def delete_rating(request: HttpRequest, message_id: UUID) -> Any:
    user: Any = request.auth.user  # type: ignore[attr-defined]  # Set by ninja.
    await remove_rating(user, message_id)
    return Status(204, None)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def rating(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """
    Ask why an answer is good or bad, and keep what is posted.

    A thumb below an answer posts its ``value`` alone: it rates, or takes the same rating
    back, and leads back to the answer.
    """
    request.user = await request.auser()
    user: Any = request.user
    try:
        answer = await sync_to_async(_find)(user, message_id)
        if request.method != "POST":
            return await sync_to_async(_show)(request, answer)
        await _act(request, answer)
    except NotFound:
        raise Http404 from None
    except ChatError as exc:
        messages.error(request, str(exc))
        return redirect("chat:rating", message_id)
    name = "embed_conversation" if "embedded" in request.GET else "conversation"
    return redirect(f"{reverse(f'chat:{name}', args=[answer.conversation_id])}#m-{message_id}")


def _find(user: Any, message_id: UUID) -> Message:
    answer = find_message(user, message_id)
    if not may_be_rated(answer):
        raise NotFound
    return answer


def _show(request: HttpRequest, answer: Message) -> HttpResponse:
    context = {"answer": answer, "rating": getattr(answer, "rating", None), **reason_choices()}
    return render(request, "chat/rating.html", context)


def reason_choices() -> dict[str, Any]:
    """Return what the panel of a rating offers, for its template."""
    return {"reasons_by_value": [(1, Good.choices), (-1, Bad.choices)], "most": MAX_COMMENT}


async def _act(request: HttpRequest, answer: Message) -> None:
    user: Any = request.user
    before: Rating | None = getattr(answer, "rating", None)
    form = request.POST
    value = {"1": 1, "-1": -1}.get(form.get("value", ""), 0)
    is_thumb = "action" not in form
    if form.get("action") == "remove" or (is_thumb and before and before.value == value):
        await remove_rating(user, answer.pk)
        return
    if is_thumb:  # What was written stays; reasons for the other value would be wrong.
        await rate(user, answer.pk, value=value, comment=before.comment if before else "")
        return
    comment = clean_text(form.get("comment", "")).replace("\r\n", "\n")
    chosen = set(form.getlist("reasons"))
    known = {str(reason.value) for reason in (Good if value == 1 else Bad)}
    await rate(user, answer.pk, value=value, reasons=sorted(chosen & known), comment=comment)

"""The raw dialects: a question, and the text of its answer, as JSON or as an event stream."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, aclosing
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chat.broken import break_off
from chat.database import in_database
from chat.drain import Turn, on_drain
from chat.errors import ChatError, EventsExpired
from chat.eventlog import event_log
from chat.events import encode_json
from chat.generations import Turn as ToldTurn
from chat.generations import start_generation
from chat.identity import Identity
from chat.models import Generation
from chat.readers import Reader
from chat.views import streams
from chat.views.dialects import endpoint, json_body
from chat.views.follow import SentAway, follow_a_while, follow_to_end, frames
from chat.views.streams import EventStreamResponse, Place, nothing
from chat.views.texts import NotWhole, answer_texts
from chat.wire import raw
from chat.wire.failures import Reason
from chat.wire.forms import Unprocessable
from chat.wire.raw import EventsEncoder, Position
from chat.wire.raw_request import parse_question, query_question


class TextEventsResponse(EventStreamResponse):
    cache_control = "no-cache, no-transform"  # As their own servers say it.


def error_response(error: ChatError) -> HttpResponse:
    """Return an error as the site tells it, and beside it as the servers of these dialects do."""
    detail = error.detail if isinstance(error, Unprocessable) else str(error)
    return streams.error_response(error, body=_error_body(error.as_dict(), detail))


@endpoint("POST", tell=error_response)
async def nostream(request: HttpRequest, identity: Identity) -> HttpResponse:
    """Answer with the whole text."""
    question = parse_question(json_body(request))
    place = Place(identity)
    with place.held:
        generation = await ask(request, identity, question)
        try:
            batches = follow_to_end(generation.pk, reader=place.reader)
            parts = [text async for text in answer_texts(batches)]
        except NotWhole as exc:
            return _failure_response(exc.reason)
    return HttpResponse(
        encode_json({"answer": "".join(parts)}),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@endpoint("GET", "HEAD", tell=error_response)
async def stream_with_get(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    return await text_events(
        request, identity, question=lambda: query_question(request.GET), encoder=EventsEncoder
    )


@endpoint("POST", tell=error_response)
async def stream_with_post(request: HttpRequest, identity: Identity) -> HttpResponseBase:
    return await text_events(
        request,
        identity,
        question=lambda: parse_question(json_body(request)),
        encoder=EventsEncoder,
    )


async def ask(
    request: HttpRequest,
    identity: Identity,
    question: str,
    *,
    history: Sequence[ToldTurn] | None = None,
) -> Generation:
    """Start answering in a new conversation, or in that which the history tells of."""
    key = request.headers.get("Idempotency-Key") or str(uuid4())
    accepted = await start_generation(identity.user, text=question, key=key, history=history)
    return accepted.generation


async def text_events(
    request: HttpRequest,
    identity: Identity,
    *,
    question: Callable[[], str],
    encoder: type[EventsEncoder],
) -> HttpResponseBase:
    """
    Return the answer to a question as an event stream.

    Who sends ``Last-Event-ID`` asks nothing, but gets the rest of that answer;
    where there is none to be had, 204, which tells EventSource not to come back,
    or to who has posted, for whom a 204 would be a fault, the end alone.
    """
    last_id = request.headers.get("Last-Event-ID")
    if request.method == "HEAD":
        if not last_id:
            question()  # What GET would refuse is refused; what it would ask is not asked.
        return TextEventsResponse(nothing(), reader=ExitStack())
    if last_id:
        return await _read_on(request, identity, Position.parse(last_id), encoder)
    text, place = question(), Place(identity)
    with place.held:
        generation = await ask(request, identity, text)
        return _stream(request, encoder(generation.pk), place)


async def _read_on(
    request: HttpRequest,
    identity: Identity,
    position: Position | None,
    encoder: type[EventsEncoder],
) -> HttpResponseBase:
    if position is None or position.cursor is None or not await _is_kept(identity, position.run):
        if request.method == "GET":
            return HttpResponse(status=204)
        return TextEventsResponse(_only(raw.over(position)), reader=ExitStack())
    place = Place(identity)
    with place.held:
        return _stream(request, encoder(position.run, after=position.cursor), place)


async def _is_kept(identity: Identity, run: UUID) -> bool:
    """Whether the caller has that generation, and its log can still be read."""
    owned = Generation.objects.owned_by(identity.user)
    if not await in_database(owned.filter(pk=run).exists):
        return False
    try:
        await event_log().last(run)
    except EventsExpired:
        return False
    return True


def _stream(request: HttpRequest, encoder: EventsEncoder, place: Place) -> TextEventsResponse:
    turn = place.held.enter_context(on_drain())
    blocks = _blocks(request, encoder, reader=place.reader, turn=turn)
    return TextEventsResponse(blocks, reader=place.held.pop_all())


async def _blocks(
    request: HttpRequest, encoder: EventsEncoder, *, reader: Reader, turn: Turn
) -> AsyncGenerator[str, None]:
    yield encoder.preamble()
    # From the beginning: what a block begins with is what the ones before it have held back.
    batches = follow_a_while(encoder.run, after=0, reader=reader, turn=turn)
    texts = frames(batches, encoder, generation_id=encoder.run)
    try:
        async with aclosing(texts):
            async for text in texts:
                yield text
    except SentAway:
        # Some of these clients take a proper end for the end of the answer.
        break_off(request.scope)  # type: ignore[attr-defined]


async def _only(text: str) -> AsyncGenerator[str, None]:
    yield text


def _failure_response(reason: Reason) -> HttpResponse:
    error = {"code": reason.code, "message": reason.message, "retryable": reason.retryable}
    return HttpResponse(
        _error_body(error, reason.message),
        status=reason.status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _error_body(error: dict[str, Any], detail: Any) -> str:
    return encode_json({"error": error, "detail": detail})

"""Readers over HTTP: Server-Sent Events and long-poll."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from time import monotonic
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chat.drain import Turn, is_draining, on_drain, refuse_when_draining
from chat.errors import BadRequest, ChatError, InvalidCursor, NotAuthenticated
from chat.eventlog import event_log
from chat.identity import Identity
from chat.models import Generation
from chat.readers import Reader, open_reader
from chat.views.follow import (
    LOOK_UP_SECONDS,
    SentAway,
    follow_a_while,
    frames,
    let_go_of_thread,
)
from chat.wire import native

MAX_WAIT = 60.0
RECONNECT = ": reconnect\n\n"


class EventStreamResponse(StreamingHttpResponse):
    """An event stream, its type byte-exact (some clients compare it), that nobody buffers."""

    media_type = "text/event-stream"
    cache_control = native.SSE_HEADERS["Cache-Control"]

    def __init__(self, frames: AsyncGenerator[str, None], *, reader: ExitStack) -> None:
        headers = native.SSE_HEADERS | {"Cache-Control": self.cache_control}
        super().__init__(frames, content_type=self.media_type, headers=headers)
        # Closed with the response, which happens even if nobody ever reads the frames.
        self._resource_closers.append(reader.close)  # type: ignore[attr-defined]


async def nothing() -> AsyncGenerator[str, None]:
    """A stream without a frame."""
    return
    yield


class TextStreamResponse(EventStreamResponse):
    """Text as it comes, with nothing around it."""

    media_type = "text/plain; charset=utf-8"


class Place:
    """
    A reader that is open before there is something to read.

    Who asks and wants to read the answer takes one first: past a limit nothing
    must be accepted. Raise a limit's error.
    """

    def __init__(self, identity: Identity) -> None:
        self.held = ExitStack()
        self.reader = self.held.enter_context(open_reader(identity))


def parse_cursor(request: HttpRequest, after: str | int | None = None) -> int:
    """Return where to read on: ``Last-Event-ID`` wins over ``after``. Raise InvalidCursor."""
    value = request.headers.get("Last-Event-ID")
    if value is None:
        value = str(after or 0)
    # Not isdecimal(): it takes the digits of every script.
    if not (value.isascii() and value.isdigit() and len(value) <= 16):
        raise InvalidCursor("A cursor is a whole number, 0 to read from the beginning.")
    return int(value)


async def event_stream(
    generation: Generation,
    *,
    after: int,
    identity: Identity,
    place: Place | None = None,
    posted: bool = False,
) -> HttpResponseBase:
    """
    Return the generation's events past a cursor as an event stream.

    204 when the reader has the terminal event: it tells EventSource not to
    come back. Who has ``posted`` gets a stream without events instead: for
    such clients a 204 is a fault, after which they post again. Raise
    EventsExpired, InvalidCursor, or a limit's error. A ``place`` is given up
    with the stream, or without one.
    """
    with ExitStack() as stack:
        if place:
            stack.push(place.held)
        last = await event_log().last(generation.pk, seen=after)
        cursor = last.cursor if last else 0
        if after > cursor:
            raise InvalidCursor(f"Cursor {after} is past the last event, {cursor}.")
        if last and last.kind.is_terminal and after == cursor:
            if posted:
                return EventStreamResponse(nothing(), reader=stack.pop_all())
            return HttpResponse(status=204)
        if not place:
            place = Place(identity)
            stack.push(place.held)
        turn = stack.enter_context(on_drain())
        frames = sse_frames(generation.pk, after=after, reader=place.reader, turn=turn)
        return EventStreamResponse(frames, reader=stack.pop_all())


async def sse_frames(
    generation_id: UUID, *, after: int, reader: Reader, turn: Turn
) -> AsyncGenerator[str, None]:
    """
    Yield the generation's events until the terminal one, or until the reader is sent away.

    It then ends without a terminal event, and the client comes back with its cursor.
    """
    batches = follow_a_while(generation_id, after=after, reader=reader, turn=turn)
    texts = frames(batches, native.SseEncoder(), generation_id=generation_id)
    try:
        async with aclosing(texts):
            async for text in texts:
                yield text
    except SentAway:
        yield RECONNECT


async def long_poll(
    generation: Generation, *, after: int, wait: float, identity: Identity
) -> HttpResponse:
    """Return the events past a cursor as JSON, waiting up to ``wait`` seconds for one."""
    if not 0 <= wait <= MAX_WAIT:
        raise BadRequest(f"wait: between 0 and {MAX_WAIT:g} seconds.")
    refuse_when_draining()
    log = event_log()
    ends_at = monotonic() + wait
    let_go_of_thread()
    with open_reader(identity) as reader:
        while True:
            block = max(0.0, min(ends_at - monotonic(), LOOK_UP_SECONDS))
            batch = await log.read(generation.pk, after=after, block=block)
            newest = batch[-1] if batch else await log.last(generation.pk)
            read_to = batch[-1].cursor if batch else after
            # One that came between the two look-ups is for the next round.
            terminal = newest is not None and newest.kind.is_terminal and newest.cursor == read_to
            ends = reader.revoked or is_draining() or monotonic() >= ends_at
            if batch or terminal or ends:
                break
    if reader.revoked:
        raise NotAuthenticated
    body = native.poll_body(batch, cursor=read_to, terminal=terminal)
    return HttpResponse(
        body, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def error_response(
    error: ChatError, *, body: str | None = None, content_type: str = "application/json"
) -> HttpResponse:
    """
    Return an error with its status, before anything else was sent.

    As the site's own JSON, unless a dialect has another ``body`` for it.
    """
    headers: dict[str, Any] = {"Cache-Control": "no-store"}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return HttpResponse(
        native.error_body(error.as_dict()) if body is None else body,
        status=error.status,
        content_type=content_type,
        headers=headers,
    )

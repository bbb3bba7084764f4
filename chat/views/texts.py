"""An answer as text alone: it has no other way to tell of a failure than a status, or its end."""

import logging
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chat.broken import break_off
from chat.errors import ChatError
from chat.views.follow import Batches
from chat.views.streams import TextStreamResponse
from chat.wire.failures import Reason, reason_of
from chat.wire.raw import plain_text

logger = logging.getLogger(__name__)

PLAIN = TextStreamResponse.media_type


class NotWhole(Exception):
    """Raised when an answer has ended before its time; ``reason`` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)
        self.reason = reason


async def answer_texts(batches: Batches) -> AsyncGenerator[str, None]:
    """Yield an answer's text as it comes. Raise NotWhole where it fails."""
    async with aclosing(batches):
        async for batch in batches:
            if text := plain_text(batch):
                yield text
            if batch and (reason := reason_of(batch[-1])):
                raise NotWhole(reason)


async def text_response(
    request: HttpRequest, batches: Batches, held: ExitStack
) -> HttpResponseBase:
    """
    Return an answer's text as it comes; what is ``held`` is given up with it.

    An error is a status only as long as there is no text: so the first is waited for.
    """
    texts = answer_texts(batches)
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

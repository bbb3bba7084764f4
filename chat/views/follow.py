"""How a reader follows a generation over HTTP, whatever its dialect makes of the events."""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from time import monotonic
from typing import Protocol
from uuid import UUID

from asgiref.sync import SyncToAsync
from django.db import connections

from chat.conf import chat_settings
from chat.drain import Turn, is_draining, jitter, time_left
from chat.errors import ChatError, Draining, InternalError, NotAuthenticated
from chat.eventlog import event_log
from chat.events import Event
from chat.readers import Reader

logger = logging.getLogger(__name__)

Batches = AsyncGenerator[list[Event], None]

# How long a quiet reader sleeps before it looks whether it may still read.
LOOK_UP_SECONDS = 1.0
# This long before the server cuts what is still open, a stream says why it ends.
BEFORE_CUT_SECONDS = 1.0


class SentAway(Exception):
    """Raised when a reader is to come back with its cursor: it is old, or the process drains."""


class Encoder(Protocol):
    """What a dialect sends one reader."""

    keep_alive: str

    def encode(self, batch: Iterable[Event]) -> str:
        """Return what a batch says, maybe nothing; after a terminal event, the end as well."""

    def failure(self, error: ChatError) -> str:
        """Return what is said last when reading fails, maybe nothing."""


async def follow_a_while(generation_id: UUID, *, after: int, reader: Reader, turn: Turn) -> Batches:
    """
    Yield batches past a cursor, up to the terminal event, for a client that can come back.

    It has to when ``SSE_LIFETIME_SECONDS`` are over, so that no proxy or dead
    peer keeps a stream for ever, and when the drain has come to it. An empty
    batch marks a quiet moment. Raise SentAway; NotAuthenticated once the reader
    is revoked; as the event log does.
    """
    ends_at = monotonic() + chat_settings().sse_lifetime_seconds
    async with aclosing(_follow(generation_id, after=after, reader=reader)) as batches:
        async for batch in batches:
            yield batch
            if not _is_end(batch) and (monotonic() > ends_at or turn.has_come):
                raise SentAway


async def follow_to_end(generation_id: UUID, *, reader: Reader) -> Batches:
    """
    Yield all batches, however long it takes, for a client that cannot come back.

    See follow_a_while(). Raise Draining just before the process ends.
    """
    async with aclosing(_follow(generation_id, after=0, reader=reader)) as batches:
        async for batch in batches:
            if not _is_end(batch) and is_draining() and not time_left(_drain_seconds()):
                raise Draining
            yield batch


async def frames(
    batches: Batches, encoder: Encoder, *, generation_id: UUID
) -> AsyncGenerator[str, None]:
    """
    Yield one write per batch, and a keep-alive after each ``HEARTBEAT_SECONDS`` without one.

    Nothing that goes wrong in here could still be answered, so it is the last
    thing that is written. Only SentAway is passed on.
    """
    heartbeat = chat_settings().heartbeat_seconds
    quiet_since = monotonic()
    try:
        async with aclosing(batches):
            async for batch in batches:
                now = monotonic()
                text = encoder.encode(batch)
                if not text and now - quiet_since >= heartbeat:
                    text = encoder.keep_alive
                if text:
                    quiet_since = now
                    yield text
    except ChatError as exc:
        if text := encoder.failure(exc):
            yield text
    except SentAway:
        raise
    except Exception:
        logger.exception("A reader of generation %s failed", generation_id)
        if text := encoder.failure(InternalError()):
            yield text


def let_go_of_thread() -> None:
    """
    End the thread that asgiref keeps for this request, and its database connection.

    Synchronous middleware ran in it. A reader waits for minutes without it, and
    thousands of readers would be thousands of threads; one that is needed at
    the end is made anew.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executors = SyncToAsync.context_to_thread_executor
    if context is not None and (executor := executors.pop(context, None)):
        executor.submit(connections.close_all)
        executor.shutdown(wait=False)


async def _follow(generation_id: UUID, *, after: int, reader: Reader) -> Batches:
    let_go_of_thread()
    log = event_log().follow(generation_id, after=after, heartbeat=LOOK_UP_SECONDS)
    async with aclosing(log) as batches:
        async for batch in batches:
            if reader.revoked:
                raise NotAuthenticated
            yield batch


def _is_end(batch: list[Event]) -> bool:
    return bool(batch) and batch[-1].kind.is_terminal


def _drain_seconds() -> float:
    """Return how long after the beginning of a drain a stream may stay open."""
    return chat_settings().drain_seconds - jitter() - BEFORE_CUT_SECONDS

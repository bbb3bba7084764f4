"""Chat models on any OpenAI-compatible server, read from the raw event stream."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import aiohttp
import httpx2
import openai
import orjson
from langchain_core.messages import AIMessageChunk, BaseMessage
from pydantic import SecretStr

from chat.conf import chat_settings
from chat.errors import (
    ModelError,
    UpstreamError,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)
from chat.failpoints import reach
from chat.llm.clients import Backlog, shared_client
from chat.llm.deltas import Deltas
from chat.llm.failures import body_words, from_error_object, from_exception, logger, printable
from chat.llm.pace import pace
from chat.llm.sse import EventStreamParser, LineTooLong
from chat.llm.streaming import OPTIONS, StreamingChat, message_chunk

MAX_RETRIES = 2
RETRY_BUDGET_SECONDS = 20.0
# A server that does not answer at all is given up sooner: someone waits before an empty answer.
UNREACHABLE_BUDGET_SECONDS = 4.0
# How long a usage chunk may come after the finish reason.
AFTER_FINISH_SECONDS = 2.0
# How long the end of the response may come after [DONE]; with it the connection is used again.
AFTER_DONE_SECONDS = 0.2
# One read of the client gives at most this much; a full one means that more waits.
FULL_READ = 16_384
# About four tokens: fewer at a time are cheaper to receive than to hold back.
FAST_READ = 1000

RETRIED = (UpstreamUnreachable, UpstreamReset, UpstreamRateLimited, UpstreamError)
HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
USAGE = {"include_usage": True}
TRANSPORT_ERRORS = (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError)
ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}

# Servers that refuse `stream_options`, by base URL.
servers_without_options: set[str] = set()


class OpenAICompatibleChat(StreamingChat):
    """
    A model behind ``POST {base_url}/chat/completions``.

    One chunk per read of the socket, with all that has arrived; after the first
    delta, reads are ``PACE_MS`` apart, or more under load. The stream counts as
    complete only with a finish reason. A failure before the first delta may be
    tried again, and each such retry is a chunk with a ``step``; after it, never.
    Raise a ModelError for every failure.
    """

    model: str
    base_url: str
    api_key: SecretStr = SecretStr("")

    @property
    def _llm_type(self) -> str:
        return "openai-compatible"

    async def chunks(
        self, messages: list[BaseMessage], *, stop: list[str] | None, **options: Any
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """Yield the answer, trying again while that can help and nothing was yielded."""
        body = self._body(messages, stop, options)
        now = asyncio.get_running_loop().time
        started = now()
        for attempt in range(1, MAX_RETRIES + 2):
            answered = False
            try:
                async with aclosing(self._answer(body)) as answer:
                    async for chunk in answer:
                        answered = True
                        yield chunk
                return
            except ModelError as exc:
                wait = _wait_before_retry(exc, attempt=attempt, elapsed=now() - started)
                if answered or wait is None:
                    raise
                reason = exc.code
            yield message_chunk(
                step={
                    "name": "retry",
                    "status": "started",
                    "attempt": attempt,
                    "reason": reason,
                    "wait": round(wait, 2),
                }
            )
            await asyncio.sleep(wait)

    def _body(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        turns = [{"role": ROLES.get(m.type, m.type), "content": m.content} for m in messages]
        body: dict[str, Any] = {"model": self.model, "messages": turns, "stream": True}
        body |= {name: options[name] for name in OPTIONS if options.get(name) is not None}
        return body | ({"stop": stop} if stop else {})

    async def _answer(self, body: dict[str, Any]) -> AsyncGenerator[AIMessageChunk, None]:
        now = asyncio.get_running_loop().time
        conf = chat_settings()
        deadline = now() + conf.first_token_timeout
        deltas, parser = Deltas(), EventStreamParser()
        async with self._response(body, deadline) as response, aclosing(_bytes(response)) as reads:
            backlog = Backlog(response)
            while not deltas.ended:
                read_at = now()
                data = backlog.take(FULL_READ) or await _read(reads, deltas, deadline)
                if data is None:
                    break
                failure = _take(data, parser, deltas)
                text, reasoning = deltas.text.take(), deltas.reasoning.take()
                if text or reasoning:
                    yield message_chunk(text, reasoning=reasoning)
                    deadline = now() + conf.idle_timeout
                if failure:
                    raise failure
                if deltas.finish_reason:
                    deadline = min(deadline, read_at + AFTER_FINISH_SECONDS)
                elif (text or reasoning) and len(data) < FULL_READ:
                    if len(data) > FAST_READ:
                        backlog.hold()
                    await asyncio.sleep(read_at + pace.seconds() - now())
                    backlog.let_go()
            if rest := deltas.text.take_rest():
                yield message_chunk(rest)
            if not deltas.finish_reason:
                raise UpstreamProtocol if parser.stray_lines else UpstreamTruncated
            yield message_chunk(finish_reason=deltas.finish_reason, usage=deltas.usage)
            if deltas.ended:
                await _drain(reads)

    @asynccontextmanager
    async def _response(
        self, body: dict[str, Any], deadline: float
    ) -> AsyncIterator[httpx2.Response]:
        response = await self._open(body, deadline)
        try:
            await _check_form(response, deadline)
            reach("after-upstream-open")
            yield response
        finally:
            await response.aclose()

    async def _open(self, body: dict[str, Any], deadline: float) -> httpx2.Response:
        client = await shared_client(self.base_url, self.api_key.get_secret_value())
        with_options = self.base_url not in servers_without_options
        try:
            async with asyncio.timeout_at(deadline):
                # Asked for as a response, the library gives it unread: its own
                # parser costs more per token than all the rest of the chain.
                return await client.post(  # type: ignore[return-value]
                    "/chat/completions",
                    body=body | ({"stream_options": USAGE} if with_options else {}),
                    cast_to=httpx2.Response,
                    options={"headers": HEADERS},
                    stream=True,
                    stream_cls=openai.AsyncStream[Any],
                )
        except TimeoutError as exc:
            raise UpstreamTimeout from exc
        except TRANSPORT_ERRORS as exc:
            if not (with_options and _refuses_options(exc)):
                raise from_exception(exc) from exc
        servers_without_options.add(self.base_url)
        return await self._open(body, deadline)


def _refuses_options(exc: Exception) -> bool:
    if not isinstance(exc, openai.APIStatusError) or exc.status_code not in {400, 422}:
        return False
    return "stream_options" in body_words(exc)


def _wait_before_retry(exc: ModelError, *, attempt: int, elapsed: float) -> float | None:
    """Return the seconds to wait, or None when trying again cannot help in the time there is."""
    if attempt > MAX_RETRIES or not isinstance(exc, RETRIED):
        return None
    lost = isinstance(exc, UpstreamUnreachable)
    budget = UNREACHABLE_BUDGET_SECONDS if lost else RETRY_BUDGET_SECONDS
    if isinstance(exc, UpstreamReset) and attempt == 1:
        wait = 0.0  # Most likely a kept connection that the server has closed meanwhile.
    elif exc.retry_after is not None:
        wait = exc.retry_after
    else:
        wait = random.uniform(0.5, 1.0) * 2 ** (attempt - 1)  # noqa: S311 - Only spreads load.
    return wait if elapsed + wait <= budget else None


async def _check_form(response: httpx2.Response, deadline: float) -> None:
    """Raise what a 200 that is no event stream means."""
    form = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if form not in {"application/json", "text/html"}:
        return
    try:
        async with asyncio.timeout_at(deadline), aclosing(_bytes(response)) as reads:
            body = await anext(reads, b"")
    except TimeoutError as exc:
        raise UpstreamTimeout from exc
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        logger.warning("Not an event stream but %s: %s", printable(form), printable(repr(body)))
        raise UpstreamProtocol from None
    raise from_error_object(error)


async def _bytes(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """Yield the body as it arrives. Raise a ModelError when it breaks off."""
    try:
        async for data in response.aiter_bytes():
            yield data
    except TRANSPORT_ERRORS as exc:
        if rest := Backlog(response).rest():
            yield rest
        raise from_exception(exc) from exc


async def _read(
    reads: AsyncGenerator[bytes, None], deltas: Deltas, deadline: float
) -> bytes | None:
    """Return all that has arrived, waiting until the deadline for some; None at the end."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(reads, None)
    except (TimeoutError, ModelError) as exc:
        if deltas.finish_reason:
            return None  # The answer is complete; only its usage may be missing.
        raise exc if isinstance(exc, ModelError) else UpstreamTimeout from exc


def _take(data: bytes, parser: EventStreamParser, deltas: Deltas) -> ModelError | None:
    """Add what a read brought; return its failure, so that the text before it is not lost."""
    try:
        for event in parser.feed(data):
            if event.event == "error":
                return deltas.read_error(event.data)
            deltas.add(event.data)
    except ModelError as exc:
        return exc
    except LineTooLong:
        return UpstreamProtocol()
    return None


async def _drain(reads: AsyncGenerator[bytes, None]) -> None:
    """Read to the end of the response, so that its connection can be used again."""
    with suppress(TimeoutError, ModelError):
        async with asyncio.timeout(AFTER_DONE_SECONDS):
            async for _ in reads:
                pass

"""What a provider did, as one of the site's own errors."""

import email.utils
import logging
import math
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import openai

from chat.errors import (
    ContextTooLong,
    ModelError,
    UpstreamAuth,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from chat.text import hide_secrets

logger = logging.getLogger("chat.llm")

MAX_LOGGED = 500
CONTEXT_WORDS = re.compile(
    r"context[ _](length|size|window)|maximum context|too many tokens|prompt is too long"
    r"|exceeds? the (available )?context|string_above_max_length",
    re.IGNORECASE,
)
WORDS = {
    "rate_limit": UpstreamRateLimited,
    "insufficient_quota": UpstreamRateLimited,
    "too_many_requests": UpstreamRateLimited,
    "invalid_api_key": UpstreamAuth,
    "authentication": UpstreamAuth,
    "permission": UpstreamAuth,
    "model_not_found": UpstreamModelNotFound,
    "invalid_request": UpstreamRejected,
}


def printable(words: object) -> str:
    """Return a provider's words fit for one log line: short, escaped, without a key."""
    text = hide_secrets(str(words)[: 4 * MAX_LOGGED])
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return escaped if len(escaped) <= MAX_LOGGED else f"{escaped[:MAX_LOGGED]}…"


def from_status(status: int, words: str, headers: Mapping[str, str]) -> ModelError:
    """Return the error that an HTTP status and the body's words stand for."""
    logger.warning("The model server answered %d: %s", status, printable(words))
    if status in {401, 403}:
        return UpstreamAuth()
    if status == 404:
        return UpstreamModelNotFound()
    if status == 429:
        return UpstreamRateLimited(retry_after=retry_after(headers))
    if status >= 500 or status in {408, 409, 425}:
        return UpstreamError(retry_after=retry_after(headers))
    if status == 413 or CONTEXT_WORDS.search(words):
        return ContextTooLong()
    return UpstreamRejected()


def from_error_object(error: Any) -> ModelError:
    """Return the error that an ``error`` object or string inside a stream stands for."""
    fields = error if isinstance(error, dict) else {"message": error}
    code, kind = fields.get("code"), fields.get("type")
    words = f"{code} {kind} {fields.get('message')}"
    status = fields.get("status_code") or fields.get("status") or code
    if isinstance(status, str) and status.isdecimal() and len(status) == 3:
        status = int(status)
    if type(status) is int and 400 <= status < 600:
        return from_status(status, words, {})
    logger.warning("The model server reported in mid-answer: %s", printable(words))
    if CONTEXT_WORDS.search(words):
        return ContextTooLong()
    names = f"{code} {kind}".lower()
    return next((found() for word, found in WORDS.items() if word in names), UpstreamError())


def from_exception(exc: BaseException) -> ModelError:
    """Return the error that an exception of the client's library stands for."""
    if isinstance(exc, openai.APIStatusError):
        return from_status(exc.status_code, body_words(exc), exc.response.headers)
    found = _from_cause(exc)
    logger.warning("The model server failed: %s: %s", found.code, printable(repr(_root(exc))))
    return found


def _root(exc: BaseException) -> BaseException:
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return exc


def _from_cause(exc: BaseException) -> ModelError:
    # The library's adapter names a refused connection a connect timeout and a
    # lost one too, so the exception below it is what tells them apart.
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ClientSSLError, ssl.SSLError)):
            return UpstreamUnreachable()
        if isinstance(cause, (aiohttp.ServerTimeoutError, aiohttp.InvalidURL)):
            return UpstreamUnreachable()
        if isinstance(cause, (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
            return UpstreamReset()
        if isinstance(cause, aiohttp.ClientResponseError):
            return UpstreamProtocol()
        if isinstance(cause, TimeoutError):
            return UpstreamTimeout()
        if isinstance(cause, OSError):
            return UpstreamReset()
        cause = cause.__cause__
    return UpstreamReset() if isinstance(exc, openai.APIConnectionError) else UpstreamError()


def body_words(exc: openai.APIStatusError) -> str:
    """Return what the body of a refusal says."""
    return str(exc.body) if exc.body is not None else exc.response.text[: 8 * MAX_LOGGED]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asked to wait, or None when it did not say in a readable way."""
    if (seconds := _number(headers.get("retry-after-ms"))) is not None:
        return seconds / 1000
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return seconds
    date = email.utils.parsedate_tz(value) if value else None
    if date is None:
        return None
    try:
        return max(0.0, email.utils.mktime_tz(date) - time.time())
    except (OverflowError, ValueError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None

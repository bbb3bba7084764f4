"""One tree of errors for every transport.

A subclass says what any transport needs: a stable ``code``, an HTTP ``status``, whether trying
again can help. A message says what is wrong and how to mend it, and never holds a secret or a
provider's raw words.
"""

from typing import Any

from chat.errors.attachments import AttachmentTooLarge, ImagesNotSupported, UnsupportedFile
from chat.errors.base import ChatError
from chat.errors.model import (
    AnswerTooLong,
    ContextTooLong,
    GenerationTimeout,
    ModelError,
    UpstreamAuth,
    UpstreamError,
    UpstreamModelNotFound,
    UpstreamProtocol,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamReset,
    UpstreamTimeout,
    UpstreamTruncated,
    UpstreamUnreachable,
)

__all__ = [
    "AnswerTooLong",
    "AttachmentTooLarge",
    "BadRequest",
    "BudgetSpent",
    "ChatError",
    "ContextTooLong",
    "Draining",
    "EventsExpired",
    "Fenced",
    "Forbidden",
    "GenerationTimeout",
    "IdempotencyConflict",
    "ImagesNotSupported",
    "InternalError",
    "InvalidCursor",
    "LogClosed",
    "MethodNotAllowed",
    "ModelError",
    "NotAuthenticated",
    "NotContinuable",
    "NotFound",
    "Overloaded",
    "PromptTooLong",
    "QueueFull",
    "RateLimited",
    "StorageFailed",
    "UnknownAgent",
    "UnknownModel",
    "UnsupportedFile",
    "UnsupportedParameter",
    "UpstreamAuth",
    "UpstreamError",
    "UpstreamModelNotFound",
    "UpstreamProtocol",
    "UpstreamRateLimited",
    "UpstreamRejected",
    "UpstreamReset",
    "UpstreamTimeout",
    "UpstreamTruncated",
    "UpstreamUnreachable",
]


class BadRequest(ChatError):
    """The request or frame does not have the documented form."""

    code = "bad_request"

    def __init__(self, message: str = "", *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param  # The field it is about, where a dialect's errors name one.


class UnsupportedParameter(BadRequest):
    """What a dialect's request asks for is not to be had here; leaving it out would mislead."""

    code = "unsupported_parameter"


class NotAuthenticated(ChatError):
    """No valid session or API key came with the request."""

    code = "not_authenticated"
    status = 401
    default_message = "Sign in, or send a valid API key as 'Authorization: Bearer …'."


class Forbidden(ChatError):
    """The caller is known but may not do this; a missing CSRF token is one cause."""

    code = "forbidden"
    status = 403
    default_message = "This is not allowed."


class NotFound(ChatError):
    """Unknown, or somebody else's: the two are answered alike."""

    code = "not_found"
    status = 404
    default_message = "There is nothing here with that id."


class MethodNotAllowed(ChatError):
    """The address does not take this method; ``Allow`` names those that it takes."""

    code = "method_not_allowed"
    status = 405


class IdempotencyConflict(ChatError):
    """The idempotency key was used before with other content."""

    code = "idempotency_conflict"
    status = 409
    default_message = "This idempotency key was used for another request. Use a new one."


class NotQueued(ChatError):
    """It does not wait any more: it was started, or removed, a moment ago."""

    code = "not_queued"
    status = 409
    default_message = "This prompt waits no more: it was started or removed a moment ago."


class NotContinuable(ChatError):
    """Nothing can go on from this answer: it is whole, is being written, or is an agent's."""

    code = "not_continuable"
    status = 409
    default_message = "There is nothing to go on from in this answer. Have it answer again."


class PromptTooLong(ChatError):
    """The prompt is over ``MAX_PROMPT_BYTES``, or the body over its bound."""

    code = "prompt_too_long"
    status = 413


class QueueFull(ChatError):
    """``QUEUE_LIMIT`` prompts already wait in this conversation."""

    code = "queue_full"
    status = 429
    retryable = True
    default_message = "Too many prompts wait in this conversation. Send it when one is answered."


class RateLimited(ChatError):
    """The user is past a limit on messages, running answers or open readers."""

    code = "rate_limited"
    status = 429
    retryable = True


class BudgetSpent(ChatError):
    """Nothing is left of a budget. ``retry_after`` is until it is renewed; None if never."""

    code = "budget_spent"
    status = 429
    retryable = True

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "retryable": self.retry_after is not None}


class Overloaded(ChatError):
    """The site cannot take this now: too many readers, or its database is busy."""

    code = "overloaded"
    status = 503
    retryable = True
    default_message = "The server is busy. Try again in a few seconds."


class Draining(ChatError):
    """This process is about to end and takes nothing new."""

    code = "draining"
    status = 503
    retryable = True
    default_message = "The server is restarting. Try again in a few seconds."


class InternalError(ChatError):
    """A defect of ours; the log has the traceback."""

    code = "internal_error"
    status = 500
    retryable = True
    default_message = "Something went wrong on the server. It was logged; try again."


class InvalidCursor(ChatError):
    """The cursor is not a whole number, or is past the last event."""

    code = "invalid_cursor"


class EventsExpired(ChatError):
    """The log no longer holds this generation: read the saved message instead."""

    code = "events_expired"
    status = 410
    default_message = "The events of this generation have expired. Read its saved message."


class LogClosed(ChatError):
    """Nothing may follow a terminal event."""

    code = "log_closed"
    status = 409
    default_message = "This generation has ended."


class Fenced(ChatError):
    """A later writer has taken the event log over."""

    code = "fenced"
    status = 409
    default_message = "Another process writes this generation now."


class StorageFailed(ChatError):
    """The event log or the database cannot take more: its disk is full, or it stays away."""

    code = "storage"
    status = 507
    retryable = True
    default_message = "The server cannot store anything now. An administrator must make room."


class UnknownModel(ChatError):
    """No configured model has that name."""

    code = "unknown_model"
    status = 404


class UnknownAgent(ChatError):
    """No agent has that name."""

    code = "unknown_agent"
    status = 404

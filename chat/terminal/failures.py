"""What can go wrong for a client, each with words for the person in front of it."""

import os
from typing import Any


class ClientFailed(Exception):
    """Base class: the client cannot go on as it is. Its text says how to mend it."""


class BadConfig(ClientFailed):
    """What was configured cannot be used."""


class Unreachable(ClientFailed):
    """No answer comes from the site, or not from a chat."""


def reason_of(error: Exception) -> str:
    """Return in words why there is no connection."""
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    cause = getattr(error, "reason", error)  # What urllib has wrapped.
    number = getattr(cause, "errno", None) or 0
    if isinstance(cause, OSError) and number > 0:
        return os.strerror(number)
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__


def no_chat_there(url: str, status: int, location: str | None) -> Unreachable:
    """Return what is to be said of an address that answers, but not as a chat's would."""
    if location and 300 <= status < 400:
        return Unreachable(f"{url} has moved to {location}. Use that address, with --url.")
    return Unreachable(f"{url} answers {status}. Is it the address of a chat?")


class SignedOut(ClientFailed):
    """The site does not accept the key, or no longer."""


class Refused(Exception):
    """The site answered with one of its errors, as `docs/protocol.md` lists them."""

    def __init__(self, *, code: str, message: str, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable

    @classmethod
    def from_wire(cls, error: Any) -> "Refused":
        """Return what an error object says, whatever it lacks."""
        error = error if isinstance(error, dict) else {}
        return cls(
            code=str(error.get("code", "unknown")),
            message=str(error.get("message") or "The site gave no reason."),
            retryable=error.get("retryable") is True,
        )

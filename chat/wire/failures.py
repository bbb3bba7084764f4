"""Why an answer is not whole, for the dialects that tell it in their own form."""

import functools
from dataclasses import dataclass

from chat.errors import ChatError
from chat.events import Event, EventKind

INTERRUPTED = "The server ended while this was written. The text so far is kept."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """What ended an answer, and the status it has where nothing has been sent yet."""

    code: str
    message: str
    retryable: bool
    status: int


def reason_of(end: Event) -> Reason | None:
    """Return why the answer that a terminal event ends failed or was interrupted, else None."""
    if end.kind is EventKind.INTERRUPTED:
        return Reason(code="interrupted", message=INTERRUPTED, retryable=True, status=503)
    if end.kind is not EventKind.FAILED:
        return None
    code = str(end.data["code"])
    return Reason(
        code=code,
        message=str(end.data["message"]),
        retryable=bool(end.data.get("retryable")),
        status=_statuses().get(code, 500),
    )


@functools.cache
def _statuses() -> dict[str, int]:
    """Return the status of every error by its code: an event carries the code alone."""
    found: dict[str, int] = {}
    classes = [ChatError]
    while classes:
        each = classes.pop()
        classes += each.__subclasses__()
        if "code" in vars(each):
            found[each.code] = each.status
    return found

"""How a generation ends, told from its events and nothing else."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chat.errors import ChatError, InternalError
from chat.eventlog.ends import end_data
from chat.events import Event, EventKind
from chat.models import Generation, Step

Status = Generation.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a writer knows of its answer beside the events."""

    first_delta_at: datetime | None = None
    finish_reason: str = ""
    usage: dict[str, int] | None = None
    error: dict[str, Any] | None = None
    steps: Sequence[Step] = ()  # Those of an agent that are not saved as they ended.
    marks: list[list[int]] = field(default_factory=list)  # See `chat.generations.timing`.
    thought_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """
    An end as it is saved with its message.

    ``text`` and ``reasoning`` are what the events carried, no more and no less.
    """

    status: Generation.Status
    text: str
    reasoning: str
    cursor: int  # Of the terminal event.
    facts: Facts

    @classmethod
    def of(cls, events: Iterable[Event], status: Status, facts: Facts | None = None) -> "End":
        """Return the end of a log that has these events so far."""
        events = list(events)
        return cls(
            status=status,
            text=text_of(events, EventKind.DELTA),
            reasoning=text_of(events, EventKind.REASONING),
            cursor=len(events) + 1,
            facts=facts or Facts(),
        )

    @property
    def kind(self) -> EventKind:
        return EventKind(self.status)

    def event_data(self) -> dict[str, Any]:
        """Return the data of the terminal event."""
        return end_data(
            self.status,
            text=self.text,
            finish_reason=self.facts.finish_reason,
            usage=self.facts.usage,
            error=self.facts.error,
        )


def text_of(events: Iterable[Event], kind: EventKind) -> str:
    """Return the text that the events of one kind add up to."""
    return "".join(event.data["text"] for event in events if event.kind is kind)


def was_shown(events: Sequence[Event], kept: str = "") -> bool:
    """Tell whether a reader may have seen something of the answer beyond what was ``kept``."""
    if any(event.kind is EventKind.REASONING for event in events):
        return True
    return len(text_of(events, EventKind.DELTA)) > len(kept)


def as_chat_error(error: BaseException) -> ChatError:
    """Return the error that clients are told: our own as it is, any other as a defect of ours."""
    return error if isinstance(error, ChatError) else InternalError()

"""One answer, as far as its client has read it."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from chat.events import TERMINAL, EventKind
from chat.terminal.failures import Refused

CHARACTERS_PER_COUNT = 4  # Of a model's units, in English; the exact number comes with the end.
MEASURED_SECONDS = 0.6  # Before that, a speed is chance.
INTERRUPTED = "The server ended while this was written. The text so far is kept."


class Phase(StrEnum):
    """Where an answer stands; the last four are its end."""

    SENDING = "sending"
    WAITING = "waiting"  # The site does not take the prompt now, and will be asked again.
    QUEUED = "queued"
    THINKING = "thinking"
    RETRYING = "retrying"  # The model did not answer the site, which asks it again.
    WRITING = "writing"
    DONE = "done"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(slots=True)
class Thread:
    """Where prompts go. A new conversation has no id until its first prompt is accepted."""

    id: str | None = None


class Incomplete(Exception):
    """Raised when an event is not the one after the last, or the text not what the end says."""


class Answer:
    """
    What is known of an answer: where it stands, and all of its text so far.

    It takes each event once, however often it is delivered, and checks in the
    end that nothing is missing.
    """

    def __init__(
        self, thread: Thread, *, prompt: str = "", generation: str = "", message: str = ""
    ) -> None:
        self.id = str(uuid4())
        self.thread = thread
        self.prompt = prompt
        self.generation = generation
        self.message = message
        self.phase = Phase.THINKING if generation else Phase.SENDING
        self.place = 0  # In the queue, while it waits there.
        self.reason = ""  # Why it waits, or failed.
        self.step = ""  # The action of an agent that runs.
        self.is_retryable = False
        self.is_to_stop = False
        self.text = ""
        self.thoughts = ""
        self.usage: dict[str, int] | None = None
        self.finish_reason = ""
        self.cursor = 0
        self.begun_at = time.monotonic()
        self.thought_at: float | None = None
        self.written_at: float | None = None
        self.ended_at: float | None = None
        self._first_length = 0

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def seconds(self) -> float:
        """How long it has been answered, without the time in the queue."""
        return (self.ended_at or time.monotonic()) - self.begun_at

    @property
    def speed(self) -> float:
        """Tokens a second since the first batch, about; 0 if it is too early to say."""
        if self.written_at is None:
            return 0.0
        seconds = (self.ended_at or time.monotonic()) - self.written_at
        if seconds < MEASURED_SECONDS:
            return 0.0
        share = 1 - self._first_length / len(self.text) if self.text else 0.0
        count = self.usage["output_tokens"] if self.usage else len(self.text) / CHARACTERS_PER_COUNT
        return count * share / seconds

    def accept(self, *, generation: str, message: str, place: int) -> None:
        """Note what the site made of the prompt. ``place`` 0: it is being answered."""
        self.generation = generation
        self.message = message
        self.reason = ""
        self.place = place
        if self.cursor == 0:
            self.phase = Phase.QUEUED if place else Phase.THINKING
            self.begun_at = time.monotonic()

    def move_up(self) -> None:
        """Note that one before it has ended."""
        self.place = max(1, self.place - 1)

    def take(self, events: Sequence[Any]) -> None:
        """Take a batch. Raise Incomplete if something is missing before it, or at the end."""
        for event in events:
            if event["cursor"] <= self.cursor:
                continue
            if event["cursor"] != self.cursor + 1:
                raise Incomplete
            self.cursor = event["cursor"]
            self._take(event["kind"], event["data"])
        if self.phase is Phase.WRITING and self.written_at is None:
            # One batch may bring all that was written before this client came.
            self.written_at, self._first_length = time.monotonic(), len(self.text)

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case EventKind.STARTED:
                if self.phase is Phase.QUEUED:
                    self.begun_at = time.monotonic()
                self.phase = Phase.THINKING
            case EventKind.STEP:
                if data.get("name") == "retry":
                    self.phase = Phase.RETRYING
                else:
                    self.step = data["name"] if data.get("status") == "started" else ""
            case EventKind.REASONING:
                self.thought_at = self.thought_at or time.monotonic()
                self.phase = Phase.THINKING
                self.thoughts += data["text"]
            case EventKind.DELTA:
                self.phase = Phase.WRITING
                self.text += data["text"]
            case _ if kind in TERMINAL:
                self._take_end(Phase(kind), data)

    def _take_end(self, phase: Phase, data: dict[str, Any]) -> None:
        found = (len(self.text), hashlib.sha256(self.text.encode()).hexdigest())
        if found != (data["length"], data["sha256"]):
            raise Incomplete
        self.usage = data.get("usage")
        self.finish_reason = data.get("finish_reason") or ""
        error = data if phase is Phase.FAILED else None
        self._end(phase, error)

    def settle(self, *, status: str, text: str, error: Any) -> None:
        """Take what the site has stored in place of what was read."""
        self.text = text
        self._end(Phase(status), error)

    def fail(self, error: Refused) -> None:
        """End it without a word from the site's log: it was refused, or cannot be read."""
        self._end(
            Phase.FAILED,
            {"message": error.message, "retryable": error.retryable},
        )

    def withdraw(self) -> None:
        """End it before it was sent."""
        self._end(Phase.STOPPED, None)

    def forget(self) -> None:
        """Begin again from the first event."""
        self.phase, self.ended_at = Phase.THINKING, None
        self.cursor, self.text, self.thoughts = 0, "", ""

    def _end(self, phase: Phase, error: Any) -> None:
        self.phase = phase
        self.place = 0
        self.ended_at = time.monotonic()
        if phase is Phase.INTERRUPTED:
            self.reason, self.is_retryable = INTERRUPTED, True
        elif phase is Phase.FAILED:
            refusal = Refused.from_wire(error)
            self.reason, self.is_retryable = refusal.message, refusal.retryable

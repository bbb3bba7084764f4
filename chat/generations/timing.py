"""When the text of an answer came, to be played again at its own speed."""

from collections.abc import Iterable
from time import monotonic
from uuid import UUID

from chat.models import Generation, Message, Timing

MAX_MARKS = 2000  # Beyond, neighbours become one: a long answer is told more coarsely.


class Marks:
    """
    Notes the moments at which text came, in the one process that writes it.

    Cheap enough for every piece: a look at the clock and an append.
    """

    __slots__ = ("_began", "_marks", "_thinking", "thought_ms")

    def __init__(self) -> None:
        self._began = monotonic()
        self._marks: list[tuple[float, int]] = []
        self._thinking: float | None = None
        # From the first thought to the first text, once both have come in this order.
        self.thought_ms: int | None = None

    def note_thought(self) -> None:
        """Note that a thought has just come."""
        if self._thinking is None and not self._marks:
            self._thinking = monotonic()

    def note(self, characters: int) -> None:
        """Note that so many characters have just come."""
        marks = self._marks
        if not marks and self._thinking is not None:
            self.thought_ms = round((monotonic() - self._thinking) * 1000)
        marks.append((monotonic(), characters))
        if len(marks) >= MAX_MARKS:
            self._marks = [
                (time, earlier + later)
                for (_, earlier), (time, later) in zip(marks[::2], marks[1::2], strict=True)
            ]

    def as_list(self) -> list[list[int]]:
        """Return ``[milliseconds since the start, characters]`` of each, oldest first."""
        return [[round((time - self._began) * 1000), count] for time, count in self._marks]


def save(
    generation_id: UUID, marks: Iterable[list[int]], *, length: int, thought_ms: int | None = None
) -> None:
    """Save the timing of an answer that ends in this transaction, if any of it came."""
    if fitting := fit(marks, length):
        Timing.objects.create(generation_id=generation_id, marks=fitting, thought_ms=thought_ms)


def fit(marks: Iterable[list[int]], length: int) -> list[list[int]]:
    """
    Return marks whose characters add up to a length.

    A writer that is stopped may have noted what did not reach the log any more.
    """
    fitting: list[list[int]] = []
    for time, count in marks:
        if length:
            fitting.append([time, min(count, length)])
            length -= fitting[-1][1]
    if length and fitting:
        fitting[-1][1] += length
    return fitting


def timed_text(generation: Generation) -> tuple[str, list[list[int]]]:
    """
    Return the text of an answer, and its marks, whose characters add up to it.

    There are none while it is written, and where the process that wrote it died.
    """
    if not generation.is_terminal:
        return "", []
    answers = Message.objects.filter(generation=generation)
    text, marks = answers.values_list("text", "generation__timing__marks").get()
    return text, marks or []

"""The steps of one answer, or of a whole conversation, as rows of a table with their bars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.fields.json import KT
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from chat.drawing.timeline import PAUSE_SECONDS, Axis, Span, draw_bar, draw_scale, duration
from chat.generations.steps import ANSWER, first_sequence, status_of
from chat.models import Generation, Step

MAX_GENERATIONS = 100
MAX_ROWS = 1000
# What a table needs: states and results may be long.
BRIEF = ("id", "generation_id", "sequence", "name", "status", "started_at", "first_delta_at",
         "ended_at", "deltas", "usage", "calls")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step, as far as a table shows it."""

    id: UUID | None = None  # None for the one step that an answer without rows reads as.
    generation_id: UUID
    sequence: int
    name: str
    status: str
    kind: str  # "action" or "stream"
    started_at: datetime
    first_delta_at: datetime | None = None
    ended_at: datetime | None = None
    deltas: int = 0
    calls: int = 0
    usage: Mapping[str, int] | None = None
    reason: str = ""  # What its result gives as one.

    @property
    def status_label(self) -> str:
        return str(Step.Status(self.status).label)

    @property
    def is_running(self) -> bool:
        return self.status == Step.Status.STARTED

    @property
    def seconds(self) -> float:
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()

    @property
    def duration(self) -> str:
        return duration(self.seconds)

    @property
    def first_delay(self) -> str:
        """How long its first token took; empty if none came."""
        if self.first_delta_at is None:
            return ""
        return duration((self.first_delta_at - self.started_at).total_seconds())

    @property
    def tokens(self) -> int:
        """What was counted of its text, or else the pieces in which it came."""
        return (self.usage or {}).get("output_tokens") or self.deltas

    @property
    def pace(self) -> str:
        """How long each token took, from the first one on."""
        if not self._milliseconds:
            return ""
        return _("%(each).1f ms/token") % {"each": self._milliseconds / self.tokens}

    @property
    def pace_of(self) -> str:
        """What the pace is the mean of."""
        counts = {"count": self.tokens, "total": self._milliseconds}
        return _("(%(count)d/%(total)d ms)") % counts if self._milliseconds else ""

    @property
    def _milliseconds(self) -> float:
        if self.first_delta_at is None or self.ended_at is None or not self.tokens:
            return 0.0
        return max((self.ended_at - self.first_delta_at).total_seconds() * 1000, 0.0)

    @property
    def told(self) -> str:
        """When it was, for a pointer that rests on its bar."""
        until = clock(self.ended_at) if self.ended_at else _("now")
        text = f"{clock(self.started_at)} – {until}, {self.duration}"
        if self.first_delay:
            text += ", " + _("first token after %(delay)s") % {"delay": self.first_delay}
        return text

    @property
    def span(self) -> Span:
        first = self.first_delta_at
        return Span(
            start=self.started_at.timestamp(),
            end=(self.ended_at or timezone.now()).timestamp(),
            first=first.timestamp() if first else None,
            is_failed=self.status == Step.Status.FAILED,
            is_running=self.is_running,
            gives_text=self.kind == "stream",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row in its place: ``pause`` is what passed before it, if that was long."""

    row: Row
    bar: SafeString
    pause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    lines: Sequence[Line]
    scale: SafeString

    @property
    def has_pauses(self) -> bool:
        return any(line.pause for line in self.lines)


def clock(moment: datetime) -> str:
    """Return a time of day to the millisecond."""
    local = timezone.localtime(moment)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def rows_of(generations: Sequence[Generation], kinds: Mapping[str, str]) -> list[Row]:
    """
    Return the steps of generations of one conversation, oldest first, in a fixed number of queries.

    Only the newest if there are more than ``MAX_ROWS``. ``kinds`` tells what kind
    of action a name stands for. Numbers are those of `chat.generations.steps.steps_of()`.
    """
    asked = [each.pk for each in generations if each.agent]
    steps = _briefly(Step.objects.filter(generation__in=asked))
    newest = list(steps.order_by("-generation_id", "-sequence")[:MAX_ROWS])
    found: dict[UUID, list[Row]] = {}
    for step in reversed(newest):
        found.setdefault(step.generation_id, []).append(_row(step, kinds))
    # Of what is left out, nothing is to be made up.
    earliest = newest[-1].generation_id if len(newest) == MAX_ROWS else None
    rows: list[Row] = []
    for generation in generations:
        if earliest is not None and generation.pk < earliest:
            continue
        own = found.get(generation.pk, [])
        if not own and has_made_up_step(generation):
            sequence = rows[-1].sequence + 1 if rows else first_sequence(generation)
            own = [_made_up(generation, sequence)]
        rows += own
    return rows


def has_made_up_step(generation: Generation) -> bool:
    """Tell whether an answer without rows reads as one step, as `steps_of()` has it."""
    if generation.started_at is None:
        return False
    return generation.is_terminal or not generation.agent


def _briefly(steps: QuerySet[Step]) -> QuerySet[Step]:
    return steps.only(*BRIEF).annotate(reason=KT("result__reason"))


def _row(step: Step, kinds: Mapping[str, str]) -> Row:
    return Row(
        **{name: getattr(step, name) for name in BRIEF},
        kind=kinds.get(step.name, "stream" if step.deltas else "action"),
        reason=str(step.reason or ""),  # type: ignore[attr-defined]
    )


def _made_up(generation: Generation, sequence: int) -> Row:
    assert generation.started_at is not None
    return Row(
        generation_id=generation.pk,
        sequence=sequence,
        name=ANSWER,
        status=status_of(generation),
        kind="stream",
        started_at=generation.started_at,
        first_delta_at=generation.first_delta_at,
        ended_at=generation.ended_at,
        calls=1,
        usage=generation.usage,
    )


def row_of(step: Step, kinds: Mapping[str, str]) -> Row:
    """Return the row of a step that is loaded whole."""
    result = step.result if isinstance(step.result, dict) else {}
    return Row(
        **{name: getattr(step, name) for name in BRIEF},
        kind=kinds.get(step.name, "stream" if step.deltas else "action"),
        reason=str(result.get("reason") or ""),
    )


def table_of(rows: Sequence[Row], *, newest: bool = False) -> Table:
    """Return the rows with their bars on one axis, the newest first if wanted."""
    spans = [row.span for row in rows]
    axis = Axis(spans)
    lines: list[Line] = []
    latest = spans[0].start if spans else 0.0
    for row, span in zip(rows, spans, strict=True):
        gap = span.start - latest
        # Of our own elements, whose texts were escaped.
        bar = mark_safe(draw_bar(axis, span, told=row.told))  # noqa: S308
        lines.append(Line(row=row, bar=bar, pause=duration(gap) if gap > PAUSE_SECONDS else ""))
        latest = max(latest, span.end)
    if newest:
        lines.reverse()
    return Table(lines=lines, scale=mark_safe(draw_scale(axis)))  # noqa: S308

"""What is said of an answer as a whole: where it came from, how fast, and what it used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from chat.drawing.timeline import duration
from chat.models import Generation, Worker
from chat.traces.graphs import Route
from chat.traces.rows import Row

MAX_NAMES = 12
Facts = list[tuple[str, str]]


def facts_of(generation: Generation, route: Route) -> Facts:
    """Return labels with what is known."""
    known = [
        (_("Model"), generation.model),
        (_("Agent"), generation.agent or _("none: the model by itself")),
        (_("Route"), " → ".join(shortened([row.name for row in route.rows]))),
        (_("Reason"), " · ".join(shortened(route.reasons))),
        (_("First token after"), between(generation, "started_at", "first_delta_at")),
        (_("Duration"), between(generation, "started_at", "ended_at")),
        (_("Waited in the queue"), waited(generation)),
        (_("Tokens"), _tokens(generation)),
        (_("Speed"), speed_of(generation)),
        (_("Finish reason"), generation.finish_reason),
        (_("Worker"), _worker(generation)),
        (_("Epoch"), str(generation.epoch or "")),
    ]
    return [(label, value) for label, value in known if value]


def shortened(names: list[str]) -> list[str]:
    """Return the first and the last of many."""
    half = MAX_NAMES // 2
    return names if len(names) <= MAX_NAMES else [*names[:half], "…", *names[-half:]]


def between(generation: Generation, start: str, end: str) -> str:
    """Return the time between two moments of an answer; empty while one is not known."""
    begun, ended = getattr(generation, start), getattr(generation, end)
    return duration((ended - begun).total_seconds()) if begun and ended else ""


def waited(generation: Generation) -> str:
    """Return how long an answer waited in its queue; empty if it did not."""
    begun = generation.started_at
    # Less is not a wait, only the way through the database.
    waited = (begun - generation.created_at).total_seconds() if begun else 0.0
    return duration(waited) if waited >= 1 else ""


def usage_of(usage: object) -> Mapping[str, int]:
    """Return counts of tokens; without any if they are not known."""
    named = isinstance(usage, dict) and {"input_tokens", "output_tokens"} <= usage.keys()
    return usage if named else {}  # type: ignore[return-value]


def _tokens(generation: Generation) -> str:
    usage = usage_of(generation.usage)
    if not usage:
        return ""
    counts = {"input": usage["input_tokens"], "output": usage["output_tokens"]}
    return _("%(input)d prompt, %(output)d completion") % counts


def speed_of(generation: Generation) -> str:
    """Return the rate from the first token on: the wait for it is told by itself."""
    usage = usage_of(generation.usage)
    begin, end = generation.first_delta_at, generation.ended_at
    if not usage or begin is None or end is None or end <= begin:
        return ""
    rate = usage["output_tokens"] / (end - begin).total_seconds()
    return _("%(rate).1f tokens/s") % {"rate": rate}


def _worker(generation: Generation) -> str:
    if generation.worker is None:
        return ""
    name = Worker.objects.filter(pk=generation.worker).values_list("name", flat=True).first()
    # One that has left, or is alone, is known by its id.
    return name or f"…{str(generation.worker)[-12:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a step used, or with no name all of them. None: its model did not say."""

    name: str
    sequence: int | None = None
    calls: int = 0
    deltas: int = 0
    prompt: int | None = None
    completion: int | None = None

    @property
    def total(self) -> int | None:
        return None if self.prompt is None else self.prompt + (self.completion or 0)


def insights_of(rows: Sequence[Row]) -> list[Used]:
    """Return what each step used, and at the end the sum."""
    used = [_used(row) for row in rows]
    return [*used, _sum(used)] if used else []


def _used(row: Row) -> Used:
    usage = usage_of(row.usage)
    return Used(
        name=row.name,
        sequence=row.sequence,
        calls=row.calls,
        deltas=row.deltas,
        prompt=usage.get("input_tokens"),
        completion=usage.get("output_tokens"),
    )


def _sum(used: Iterable[Used]) -> Used:
    counted = [each for each in used if each.prompt is not None]
    return Used(
        name="",
        calls=sum(each.calls for each in used),
        deltas=sum(each.deltas for each in used),
        prompt=sum(each.prompt or 0 for each in counted) if counted else None,
        completion=sum(each.completion or 0 for each in counted) if counted else None,
    )

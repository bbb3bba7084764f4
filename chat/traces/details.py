"""One step in full: what it was given, what it found and left, and how it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.agents.graph import Action, Graph
from chat.generations.steps import steps_of
from chat.markdown import coloured
from chat.models import Annotation, Generation, Step
from chat.traces.graphs import kinds_of
from chat.traces.rows import Row, clock, row_of
from chat.traces.trees import draw_difference, draw_value

Parts = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    row: Row
    step: Step
    action: Action | None
    with_traceback: bool
    with_code: bool

    @property
    def difference(self) -> SafeString | None:
        after = self.step.state_after
        return None if after is None else draw_difference(self.step.state_before, after)

    @property
    def state_after(self) -> SafeString | None:
        after = self.step.state_after
        return None if after is None else draw_value(after)

    @property
    def state_before(self) -> SafeString:
        return draw_value(self.step.state_before)

    @property
    def inputs(self) -> SafeString:
        return draw_value(self.step.inputs)

    @property
    def result(self) -> SafeString | None:
        return None if self.step.result is None else draw_value(self.step.result)

    @property
    def traceback(self) -> str:
        return self.step.error if self.with_traceback else ""

    @property
    def code(self) -> SafeString:
        code = self.action.code if self.action and self.with_code else ""
        return format_html("{}", coloured(code, "python"))

    @property
    def annotations(self) -> list[Annotation]:
        """What people noted down about it, oldest first."""
        # Only rows have any, and a step that is made up is none.
        return list(Annotation.objects.filter(step=self.step)) if self.step.pk else []

    @property
    def times(self) -> str:
        begun, ended = self.step.started_at, self.step.ended_at
        return f"{clock(begun)} – {clock(ended)}" if ended else f"{clock(begun)} –"

    @property
    def version(self) -> str:
        """Changes whenever the step does."""
        return f"{self.step.status} {self.step.ended_at}"

    def as_json(self) -> dict[str, Any]:
        """Return the values as they are stored."""
        names = ("sequence", "name", "status", "inputs", "state_before", "state_after", "result")
        return {name: getattr(self.step, name) for name in names}


def find_step(generation: Generation, sequence: int) -> Step | None:
    """Return a step by its number, the one that an answer without rows reads as included."""
    step = generation.steps.filter(sequence=sequence).first() if generation.agent else None
    if step is not None:
        return step
    made_up = [each for each in steps_of(generation) if each.pk is None]
    return next((each for each in made_up if each.sequence == sequence), None)


def detail_of(step: Step, graph: Graph, *, with_traceback: bool, with_code: bool) -> Detail:
    return Detail(
        row=row_of(step, kinds_of(graph)),
        step=step,
        action=graph.action(step.name),
        with_traceback=with_traceback,
        with_code=with_code,
    )

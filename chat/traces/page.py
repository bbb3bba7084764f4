"""The trace of one answer as the context of its page: one unit of database work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from chat.agents.graph import Graph
from chat.agents.registry import agent_entries
from chat.drawing.graph import draw
from chat.models import Generation, Step
from chat.traces.access import is_staff
from chat.traces.details import Detail, detail_of, find_step
from chat.traces.facts import facts_of, insights_of
from chat.traces.family import family_of
from chat.traces.graphs import kinds_of, picture_of, route_through
from chat.traces.rows import MAX_GENERATIONS, MAX_ROWS, Row, rows_of, table_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

OURS = "chat."  # Agents that come with this package; their source is no secret.


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What somebody wants to see of a trace."""

    user: "AbstractBaseUser"
    step: int | None = None  # By its number.
    whole: bool = False  # The steps of the whole conversation.
    newest: bool = False  # The newest step first.

    @property
    def is_staff(self) -> bool:
        return is_staff(self.user)


def context_of(generation: Generation, graph: Graph, choice: Choice) -> dict[str, Any]:
    """Return what the page shows. The graph is that of `chat.traces.graphs.graph_of()`."""
    rows = _rows(generation, graph, choice)
    own = [row for row in rows if row.generation_id == generation.pk]
    route = route_through(graph, own)
    detail = _detail(generation, graph, choice, own)
    current = detail.row.sequence if detail else None
    return {
        "generation": generation,
        "conversation": generation.conversation,
        "prompt": generation.message.parent,
        "facts": facts_of(generation, route),
        "route": route,
        "table": table_of(rows, newest=choice.newest),
        "whole": choice.whole,
        "newest": choice.newest,
        "is_cut": len(rows) >= MAX_ROWS or _is_long(rows),
        "kept": ("all&" if choice.whole else "") + ("newest&" if choice.newest else ""),
        "detail": detail,
        "graph": graph,
        "picture": drawn_graph(generation, graph, own, current),
        "insights": insights_of(own),
        "family": family_of(generation),
        "is_owner": generation.owner_id == choice.user.pk,
        "is_live": not generation.is_terminal,
    }


def _rows(generation: Generation, graph: Graph, choice: Choice) -> list[Row]:
    generations = [generation]
    if choice.whole:
        others = Generation.objects.filter(conversation=generation.conversation_id)
        newest = others.filter(started_at__isnull=False).order_by("-pk")[:MAX_GENERATIONS]
        generations = list(newest)[::-1]
    return rows_of(generations, kinds_of(graph))


def _is_long(rows: Sequence[Row]) -> bool:
    return len({row.generation_id for row in rows}) >= MAX_GENERATIONS


def _detail(
    generation: Generation, graph: Graph, choice: Choice, rows: Sequence[Row]
) -> Detail | None:
    row = next((row for row in rows if row.sequence == choice.step), None) or _telling(rows)
    step = find_step(generation, row.sequence) if row else None
    return full_step(step, generation, graph, choice) if step else None


def full_step(step: Step, generation: Generation, graph: Graph, choice: Choice) -> Detail:
    """Return a step in full, as far as it is shown to whoever asks."""
    return detail_of(
        step,
        graph,
        with_traceback=choice.is_staff,
        with_code=choice.is_staff or _is_ours(generation.agent),
    )


def _telling(rows: Sequence[Row]) -> Row | None:
    """Return the step to look at first: what failed, or else the last."""
    failed = (row for row in rows if row.status == Step.Status.FAILED)
    return next(failed, rows[-1] if rows else None)


def _is_ours(agent: str) -> bool:
    entry = agent_entries().get(agent, "")
    path = entry if isinstance(entry, str) else dict(entry).get("class", "")
    return isinstance(path, str) and path.startswith(OURS)


def drawn_graph(
    generation: Generation,
    graph: Graph,
    rows: Sequence[Row],
    current: int | None,
    *,
    standalone: bool = False,
) -> SafeString | None:
    """Return the graph with the way taken as SVG; None where that would be no picture."""
    agent = generation.agent
    title = _("The graph of %(agent)s") % {"agent": agent} if agent else _("The plain answer")
    picture = picture_of(graph, route_through(graph, rows), title=title, current=current)
    if picture.is_too_large or not picture.nodes:
        return None
    # Of our own elements, whose texts were escaped.
    return mark_safe(draw(picture, standalone=standalone))  # noqa: S308

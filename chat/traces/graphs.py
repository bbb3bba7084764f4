"""An agent's graph with the way that one answer took through it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.agents.graph import DEFAULT, Action, Graph, Transition
from chat.agents.registry import load_agent
from chat.drawing.graph import Edge, Node, Picture
from chat.errors import UnknownAgent
from chat.generations.steps import ANSWER
from chat.traces.rows import Row


async def graph_of(agent: str) -> Graph:
    """
    Return the graph of an agent as it is now; of none, the one action of a plain answer.

    It has no actions if the agent has gone, or cannot be built.
    """
    if not agent:
        return Graph(entrypoint=ANSWER, actions=(_plain_action(),), transitions=())
    try:
        return (await load_agent(agent)).graph
    except (UnknownAgent, ImproperlyConfigured):
        return Graph(entrypoint="", actions=(), transitions=())


def _plain_action() -> Action:
    return Action(
        name=ANSWER,
        kind="stream",
        reads=("chat_history",),
        writes=("response", "chat_history"),
        inputs=("prompt",),
        optional_inputs=(),
        code="",
        is_terminal=True,
        is_declared=True,
    )


def kinds_of(graph: Graph) -> dict[str, str]:
    """Return what kind of action each name stands for."""
    return {action.name: action.kind for action in graph.actions}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The way through a graph: the transitions taken, and leaps of which the graph knows none."""

    rows: Sequence[Row]
    taken: Sequence[Transition]
    leaps: Sequence[tuple[str, str]]

    @property
    def reasons(self) -> list[str]:
        """Why it went this way: the conditions that held, and what steps gave as a reason."""
        held = [each.condition for each in self.taken if each.condition != DEFAULT]
        given = [row.reason for row in self.rows if row.reason]
        return held + given


def route_through(graph: Graph, rows: Sequence[Row]) -> Route:
    """
    Return the way that steps took.

    Of several transitions between the same two actions it is taken to be the
    first. Only what the graph does not know (any more) makes a leap.
    """
    known: dict[tuple[str, str], Transition] = {}
    for transition in graph.transitions:
        known.setdefault((transition.source, transition.target), transition)
    names = {action.name for action in graph.actions}
    taken: list[Transition] = []
    leaps: list[tuple[str, str]] = []
    for earlier, later in pairwise(_rounds(rows)):
        for row in later:
            ways = [(before.name, row.name) for before in earlier]
            taken += [known[way] for way in ways if way in known]
            leaps += [way for way in ways if not names.issuperset(way)]
    return Route(rows=rows, taken=taken, leaps=leaps)


def _rounds(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the steps in groups, each of those that ran beside each other."""
    rounds: list[list[Row]] = []
    for row in rows:
        latest = rounds[-1][0].ended_at if rounds else None
        if rounds and (latest is None or row.started_at < latest):
            rounds[-1].append(row)
        else:
            rounds.append([row])
    return rounds


def picture_of(graph: Graph, route: Route, *, title: str, current: int | None) -> Picture:
    """
    Return the graph with the way taken, and the node of step ``current`` marked.

    Steps that the graph does not know (any more) are shown as they went.
    """
    steps: dict[str, list[int]] = {}
    for row in route.rows:
        steps.setdefault(row.name, []).append(row.sequence)
    marked = next((row.name for row in route.rows if row.sequence == current), "")
    kinds = {row.name: row.kind for row in route.rows} | kinds_of(graph)
    actions = [
        _node(name, kind, steps.get(name, []), is_current=name == marked)
        for name, kind in kinds.items()
    ]
    inputs = [
        Node(name=f"input:{action.name}:{name}", label=name, kind="input", told=_input_of(action),
             is_visited=action.name in steps)
        for action in graph.actions
        for name in (*action.inputs, *action.optional_inputs)
    ]  # fmt: skip
    return Picture(
        nodes=[*inputs, *actions],
        edges=[*_input_edges(graph, steps), *_edges(graph, route)],
        title=title,
        description=_described(graph, route, marked),
    )


def _input_of(action: Action) -> str:
    return _("An input of %(action)s") % {"action": action.name}


def _node(name: str, kind: str, sequences: Sequence[int], *, is_current: bool) -> Node:
    label = _("streaming") if kind == "stream" else _("action")
    note = label
    if sequences:
        numbers = ", ".join(map(str, sequences[:4])) + (" …" if len(sequences) > 4 else "")
        steps = ngettext("step %(numbers)s", "steps %(numbers)s", len(sequences))
        steps %= {"numbers": numbers}
        note = f"{steps} · {label}" if kind == "stream" else steps
    return Node(
        name=name,
        label=name,
        kind=kind,
        note=note,
        told=f"{name}: {label}" + (f", {note}" if sequences else ""),
        is_visited=bool(sequences),
        is_current=is_current,
        step=sequences[-1] if sequences else None,
    )


def _input_edges(graph: Graph, steps: Mapping[str, Sequence[int]]) -> Iterable[Edge]:
    for action in graph.actions:
        for name in (*action.inputs, *action.optional_inputs):
            source = f"input:{action.name}:{name}"
            yield Edge(source=source, target=action.name, is_taken=action.name in steps)


def _edges(graph: Graph, route: Route) -> list[Edge]:
    ways = [transition.source for transition in graph.transitions]
    edges = [
        Edge(
            source=each.source,
            target=each.target,
            # The only way on needs no condition.
            condition=each.condition if ways.count(each.source) > 1 else "",
            is_taken=each in route.taken,
        )
        for each in graph.transitions
    ]
    leaps = dict.fromkeys(route.leaps)
    return edges + [Edge(source=source, target=target, is_taken=True) for source, target in leaps]


def _described(graph: Graph, route: Route, marked: str) -> str:
    count = len(graph.actions)
    parts = [ngettext("%(count)d action.", "%(count)d actions.", count) % {"count": count}]
    if route.rows:
        path = ", ".join(row.name for row in route.rows[:50])
        parts.append(_("Taken: %(path)s.") % {"path": path})
    if marked:
        parts.append(_("Selected: %(name)s.") % {"name": marked})
    return " ".join(parts)

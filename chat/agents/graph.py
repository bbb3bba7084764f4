"""What an agent looks like: its actions and transitions as plain values."""

import functools
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

START, END = "__start__", "__end__"  # langgraph's names.
DEFAULT = "default"  # The condition of a transition that has none, or is taken if no other is.


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """
    One node.

    ``kind`` is "stream" if it gives text as it goes, else "action". ``inputs``
    come from outside, ``reads`` and ``writes`` name parts of the state.
    ``code`` is the source of its function, empty where there is none to be had.
    """

    name: str
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    inputs: tuple[str, ...]
    optional_inputs: tuple[str, ...]
    code: str
    is_terminal: bool  # The answer may end with it.
    is_declared: bool  # By declared(); then its text is what it gives with `Context.put()`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    source: str
    target: str
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """
    A state machine. Of the transitions from one action the first that holds is taken.

    Where ``is_terminal`` is set, the end is one of the ways on; it is no transition.
    """

    entrypoint: str
    actions: tuple[Action, ...]
    transitions: tuple[Transition, ...]

    def action(self, name: str) -> Action | None:
        return next((action for action in self.actions if action.name == name), None)


def declared(
    *, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), inputs: tuple[str, ...] = (),
    streams: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return what to give to langgraph's ``add_node(…, metadata=)`` to be told by describe()."""
    kind = "stream" if streams else "action"
    return {"kind": kind, "reads": reads, "writes": writes, "inputs": inputs}


def describe(compiled: Any) -> Graph:
    """
    Return the description of a compiled graph.

    Of a node that does not declare them, the reads are what its type says it
    takes, the writes are not known, and where it can be the last one it streams.
    """
    drawn = compiled.get_graph()
    specs = dict(getattr(getattr(compiled, "builder", None), "nodes", {}))
    edges = [(e.source, e.target, _condition(e)) for e in _in_order(compiled, drawn)]
    ends = {source for source, target, _ in edges if target == END}
    names = [name for name in specs or drawn.nodes if name not in (START, END)]
    return Graph(
        entrypoint=next(target for source, target, _ in edges if source == START),
        actions=tuple(_action(name, specs.get(name), is_terminal=name in ends) for name in names),
        transitions=tuple(
            Transition(source=source, target=target, condition=condition)
            for source, target, condition in edges
            if source != START and target != END
        ),
    )


def _in_order(compiled: Any, drawn: Any) -> list[Any]:
    """Return the edges as they were added, which langgraph's drawing does not keep."""
    builder = getattr(compiled, "builder", None)
    branches = getattr(builder, "branches", {})
    nodes = [START, *getattr(builder, "nodes", drawn.nodes), END]
    labels = {
        source: [str(label) for branch in found.values() for label in branch.ends or ()]
        for source, found in branches.items()
    }

    def place(edge: Any) -> tuple[int, int, int]:
        among = labels.get(edge.source, [])
        label = str(edge.data or edge.target)
        nth = among.index(label) if label in among else len(among)
        return nodes.index(edge.source), nth, nodes.index(edge.target)

    return sorted(drawn.edges, key=place)


def _condition(edge: Any) -> str:
    return str(edge.data or edge.target) if edge.conditional else DEFAULT


def _action(name: str, spec: Any, *, is_terminal: bool) -> Action:
    said = dict(getattr(spec, "metadata", None) or {})
    return Action(
        name=name,
        kind=str(said.get("kind", "stream" if is_terminal else "action")),
        reads=tuple(said["reads"] if "reads" in said else _keys(spec)),
        writes=tuple(said.get("writes", ())),
        inputs=tuple(said.get("inputs", ())),
        optional_inputs=tuple(said.get("optional_inputs", ())),
        code=_code(spec),
        is_terminal=is_terminal,
        is_declared="kind" in said,
    )


def _keys(spec: Any) -> Iterator[str]:
    try:
        yield from get_type_hints(spec.input_schema)
    except (AttributeError, NameError, TypeError):
        return


def _code(spec: Any) -> str:
    runnable = getattr(spec, "runnable", None)
    # Of a plain function the asynchronous form is langgraph's own.
    function = getattr(runnable, "func", None) or getattr(runnable, "afunc", None)
    while isinstance(function, functools.partial):
        function = function.func
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(function)))  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""

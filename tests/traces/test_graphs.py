"""Graphs with the way that was taken through them, and what kinds of actions they may have."""

import time
from datetime import timedelta
from uuid import uuid4

from django.test import SimpleTestCase
from django.utils import timezone
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from chat.agents.graph import DEFAULT, Action, Graph, Transition
from chat.models import Step
from chat.traces.graphs import graph_of, picture_of, route_through
from chat.traces.rows import Row
from tests.agents.base import AgentCase

BEGIN = timezone.now()
HERE = "tests.traces.test_graphs"


def action(name: str, **fields) -> Action:
    known = {"kind": "action", "reads": (), "writes": (), "inputs": (), "optional_inputs": ()}
    more = {"code": "", "is_terminal": False, "is_declared": True}
    return Action(name=name, **known | more | fields)


def graph(names: str, *ways: str) -> Graph:
    """Return a graph of actions with names of one letter, and ways such as ``ab:condition``."""
    transitions = [(way[0], way[1], way[3:] or DEFAULT) for way in ways]
    return Graph(
        entrypoint=names[:1],
        actions=tuple(action(name) for name in names),
        transitions=tuple(Transition(source=s, target=t, condition=c) for s, t, c in transitions),
    )


def rows(*rounds: str, reason: str = "") -> list[Row]:
    """Return steps; those of one round run beside each other."""
    made: list[Row] = []
    for place, names in enumerate(rounds):
        begin = BEGIN + timedelta(seconds=place)
        for name in names:
            made.append(
                Row(
                    generation_id=uuid4(),
                    sequence=len(made),
                    name=name,
                    status=Step.Status.DONE,
                    kind="action",
                    started_at=begin,
                    ended_at=begin + timedelta(seconds=0.9),
                    reason=reason,
                )
            )
    return made


def ways(known: Graph, *rounds: str) -> list[str]:
    taken = route_through(known, rows(*rounds)).taken
    return [f"{way.source}{way.target}" for way in taken]


class RouteTests(SimpleTestCase):
    def test_one_step_follows_another(self) -> None:
        known = graph("abc", "ab:x", "ac", "bc")
        assert ways(known, "a", "b", "c") == ["ab", "bc"]
        assert ways(known, "a", "c") == ["ac"]

    def test_so_it_does_in_circles(self) -> None:
        known = graph("abc", "ab:again", "ba", "ac")
        assert ways(known, "a", "b", "a", "b", "a", "c") == ["ab", "ba", "ab", "ba", "ac"]

    def test_steps_beside_each_other_do_not_follow_each_other(self) -> None:
        known = graph("abcd", "ab", "ac", "bd", "cd")
        assert ways(known, "a", "bc", "d") == ["ab", "ac", "bd", "cd"]
        assert not route_through(known, rows("a", "bc", "d")).leaps

    def test_reasons_are_conditions_that_held_and_what_steps_gave(self) -> None:
        known = graph("abc", "ab:safe=True", "bc")
        assert route_through(known, rows("a", "b", "c")).reasons == ["safe=True"]
        assert route_through(known, rows("a", reason="weapons")).reasons == ["weapons"]

    def test_what_the_graph_does_not_know_makes_a_leap(self) -> None:
        route = route_through(graph("ab", "ab"), rows("a", "x", "b"))
        assert route.leaps == [("a", "x"), ("x", "b")]
        assert not route.taken


class PictureTests(SimpleTestCase):
    def picture(self, known: Graph, *rounds: str, current: int | None = None):
        route = route_through(known, rows(*rounds))
        return picture_of(known, route, title="A graph", current=current)

    def test_nodes_tell_which_steps_were_theirs(self) -> None:
        nodes = self.picture(graph("abc", "ab", "ba"), "a", "b", "a", current=1).nodes
        notes = {node.name: (node.note, node.is_visited, node.is_current) for node in nodes}
        assert notes["a"] == ("steps 0, 2", True, False)
        assert notes["b"] == ("step 1", True, True)
        assert notes["c"] == ("action", False, False)

    def test_the_only_way_on_needs_no_condition(self) -> None:
        edges = self.picture(graph("abc", "ab:x", "ac", "bc")).edges
        assert [edge.condition for edge in edges] == ["x", DEFAULT, ""]

    def test_inputs_are_nodes(self) -> None:
        known = Graph(entrypoint="a", actions=(action("a", inputs=("prompt",)),), transitions=())
        picture = self.picture(known, "a")
        assert [(node.kind, node.label) for node in picture.nodes] == [
            ("input", "prompt"),
            ("action", "a"),
        ]
        assert picture.edges[0].is_taken

    def test_what_is_gone_is_shown_as_it_went(self) -> None:
        picture = self.picture(graph(""), "x", "y")
        assert [node.name for node in picture.nodes] == ["x", "y"]
        assert [(edge.source, edge.target) for edge in picture.edges] == [("x", "y")]


class State(BaseModel):
    prompt: str
    count: int = 0


def mixed():
    """Counts letters in a thread of its own, then tells them."""

    def count(state: State):
        time.sleep(0.01)
        return {"count": len(state.prompt)}

    async def tell(state: State, runtime):
        from chat.llm.pieces import Piece

        await runtime.context.put(Piece(text=f"{state.count} letters"))
        return {}

    made = StateGraph(State)
    made.add_node("count", count)
    made.add_node("tell", tell)
    made.add_edge(START, "count")
    made.add_edge("count", "tell")
    made.add_edge("tell", END)
    return made.compile()


class MixedTests(AgentCase):
    agents = {"mixed": f"{HERE}.mixed"}

    async def test_plain_and_async_functions_and_a_typed_state_can_be_traced(self):
        generation = await self.answer("abc", agent="mixed")
        assert generation.message.text == "3 letters"
        counted, told = await self.steps(generation)
        assert (counted.name, counted.state_after) == ("count", {"prompt": "abc", "count": 3})
        assert told.state_before == counted.state_after
        known = await graph_of("mixed")
        assert "def count" in known.actions[0].code
        assert [(way.source, way.target) for way in known.transitions] == [("count", "tell")]

"""One run of an agent: what its graph emits, as pieces of the answer and boundaries of steps."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from chat.agents.context import Context, Put, StepEnded, StepStarted
from chat.agents.graph import Graph
from chat.agents.plain import as_plain
from chat.agents.registry import Agent, load_agent
from chat.llm.pieces import Piece
from chat.text import clean_text

if TYPE_CHECKING:
    from langgraph.types import StreamMode

Told = Piece | StepStarted | StepEnded

MODES: "list[StreamMode]" = ["tasks", "values", "custom"]


async def stream_agent(
    name: str,
    *,
    model: str,
    system: str,
    history: Sequence[tuple[str, str]],
    prompt: str,
    options: Mapping[str, Any] | None = None,
) -> AsyncGenerator[Told, None]:
    """
    Run an agent and yield its answer as it arrives, between the boundaries of its steps.

    The arguments are those of `chat.chain.stream_answer()`, and closing has the
    same effect. Each step begins before, and ends after, what it gives; one that
    fails does not end, but what it raised is raised here. Raise UnknownAgent.
    """
    agent = await load_agent(name)
    context = Context(model=model, system=system, options=options or {})
    emitted = agent.compiled.astream(
        agent.input(history, prompt),
        context=context,
        stream_mode=MODES if agent.declares else [*MODES, "messages"],
    )
    boundaries = _Boundaries(agent.graph)
    finished = False
    async with aclosing(cast(AsyncGenerator[Any, None], emitted)) as parts:
        async for mode, part in parts:
            if mode == "tasks" or mode == "values":
                for boundary in boundaries.cross(mode, part):
                    yield boundary
            elif (piece := _piece_from(mode, part, agent)) is not None:
                finished = finished or piece.finish_reason is not None
                yield piece
    for boundary in boundaries.rest():
        yield boundary
    if not finished:
        yield Piece(finish_reason="stop")


class _Boundaries:
    """
    Tells where steps begin and end.

    langgraph runs actions in rounds; the state is known after each. So a step's
    end is told when its round is over.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._state: dict[str, Any] = {}
        self._ended: list[dict[str, Any]] = []

    def cross(self, mode: str, part: Any) -> Iterator[Told]:
        if mode == "values":
            self._state = as_plain(part) if isinstance(part, Mapping) else {"value": as_plain(part)}
            yield from self.rest()
        elif "triggers" in part:
            yield from self.rest()
            yield self._started(part)
        elif part["error"] is None:
            self._ended.append(part)

    def rest(self) -> Iterator[Told]:
        """Yield the ends that are not told yet."""
        ended, self._ended = self._ended, []
        for part in ended:
            result = as_plain(part["result"])
            yield StepEnded(id=part["id"], result=result, state=self._state)

    def _started(self, part: Mapping[str, Any]) -> StepStarted:
        action = self._graph.action(part["name"])
        names = action.inputs if action else ()
        given = part["input"] if isinstance(part["input"], Mapping) else {}
        return StepStarted(
            id=part["id"],
            name=part["name"],
            inputs={name: as_plain(given[name]) for name in names if name in given},
            state={name: value for name, value in self._state.items() if name not in names},
        )


def _piece_from(mode: str, part: Any, agent: Agent) -> Piece | None:
    """Return what an action has emitted, None if that is nothing for the reader."""
    if isinstance(part, Put):
        return part.take()
    if mode == "messages":
        message, metadata = part
        return _piece_from_message(message, metadata, agent)
    if isinstance(part, Piece):
        return part
    if isinstance(part, str):
        return Piece(text=clean_text(part))
    if isinstance(part, Mapping) and isinstance(text := part.get("text"), str):
        return Piece(text=clean_text(text))
    return None


def _piece_from_message(message: Any, metadata: Mapping[str, Any], agent: Agent) -> Piece | None:
    """Only what a last action says is the answer; what others used is counted all the same."""
    from langchain_core.messages import AIMessage, AIMessageChunk

    from chat.llm.parser import piece_from

    if not isinstance(message, AIMessage | AIMessageChunk):
        return None
    piece = piece_from(message)
    action = agent.graph.action(str(metadata.get("langgraph_node")))
    if action is None or not action.is_terminal:
        return Piece(usage=piece.usage) if piece.usage else None
    return piece

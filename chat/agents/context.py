"""What the actions of a graph are given, and what a run tells besides text."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chat.llm.pieces import Piece

ROOM = 64  # Pieces on their way to the writer. Past them, the model is read no further.

Turn = dict[str, str]


def turn(role: str, text: str) -> Turn:
    """Return an item of a ``chat_history``."""
    return {"role": role, "content": text, "type": "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """
    What an action finds as ``runtime.context``.

    ``model`` names the chat model of the conversation (`chat.llm.registry`),
    ``system`` is its system prompt, ``options`` what its answer is asked for besides.
    """

    model: str
    system: str
    options: Mapping[str, Any] = field(default_factory=dict)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ROOM))

    async def put(self, piece: Piece) -> None:
        """
        Give the answer's next piece from inside an action.

        Waits while many are on their way. A ``usage`` is added to that of the
        action's step, a ``step`` is told as it is.
        """
        from langgraph.config import get_stream_writer

        await self._room.acquire()
        get_stream_writer()(Put(piece, self._room))


@dataclass(frozen=True, slots=True)
class Put:
    """A piece that takes up room until it is taken."""

    piece: Piece
    room: asyncio.Semaphore

    def take(self) -> Piece:
        self.room.release()
        return self.piece


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """An action begins, with what it was given and the state it finds: plain JSON."""

    id: str
    name: str
    inputs: Mapping[str, Any]
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """An action has ended: what it changed, and the state after it."""

    id: str
    result: Mapping[str, Any]
    state: Mapping[str, Any]


def state_left(state: Mapping[str, Any], text: str) -> dict[str, Any] | None:
    """
    Return the state that an action leaves which ends before its time, having said ``text``.

    The text is kept as the answer, so it belongs to the history. None if
    nothing was said.
    """
    if not text:
        return None
    left = {**state, "response": text}
    if isinstance(history := state.get("chat_history"), list):
        left["chat_history"] = [*history, turn("assistant", text)]
    return left

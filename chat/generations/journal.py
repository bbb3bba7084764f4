"""The journal of one run of an agent: its steps saved at their boundaries, and told as events."""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from django.utils import timezone

from chat.agents.context import StepEnded, StepStarted
from chat.agents.run import Told
from chat.database import in_transaction
from chat.errors import Overloaded, StorageFailed
from chat.generations import steps
from chat.generations.turns import Run
from chat.llm.pieces import Piece
from chat.models import Step
from chat.text import clean_text, hide_secrets, split_text

logger = logging.getLogger(__name__)

# A database that is locked, or away, is waited for so long at a boundary.
RETRY_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4)
MAX_TRACEBACK = 20_000
MAX_TOLD = 100  # Longer strings in a result are not told in its event: they are in the row.


class Journal:
    """
    Keeps the steps of a run.

    A step is saved when it starts and when it ends, the end of one and the
    start of the next in one transaction, before either is told. What a
    cancelled run leaves unsaved, `unfinished()` returns.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._open: dict[str, Step] = {}
        self._ended: list[Step] = []  # Not saved yet.
        self._used: Counter[str] = Counter()
        self._next = run.first_sequence
        self._has_begun = False

    async def keep(self, told: AsyncGenerator[Told, None]) -> AsyncGenerator[Piece, None]:
        """
        Yield the pieces of what an agent tells, the boundaries of its steps among them.

        A piece's usage is that of the whole run so far. Raise as the agent does,
        Fenced and StorageFailed.
        """
        try:
            async with aclosing(told) as parts:
                async for part in parts:
                    match part:
                        case Piece():
                            yield self._count(part)
                        case StepStarted():
                            for piece in await self._start(part):
                                yield piece
                        case StepEnded():
                            self._end(part)
            for piece in await self._save():
                yield piece
        except Exception:
            for step in self._open.values():
                yield _event(step, Step.Status.FAILED)
            raise

    def unfinished(self, error: BaseException | None) -> list[Step]:
        """Return the steps as they are to be saved with the end of the run, if any are left."""
        for step in self._open.values():
            step.status = Step.Status.FAILED
            step.ended_at = step.ended_at or timezone.now()
            step.error = _traceback(error) if error else "Stopped before its end."
        return [*self._ended, *self._open.values()]

    async def _start(self, part: StepStarted) -> list[Piece]:
        step = Step(
            generation_id=self._run.generation_id,
            sequence=self._next,
            name=part.name[:100],
            inputs=part.inputs,
            state_before=part.state,
        )
        self._next += 1
        self._open[part.id] = step
        return await self._save(step)

    def _end(self, part: StepEnded) -> None:
        step = self._open.pop(part.id)
        step.status = Step.Status.DONE
        step.ended_at = timezone.now()
        step.result = part.result
        step.state_after = part.state
        self._ended.append(step)

    async def _save(self, *started: Step) -> list[Piece]:
        """Save what has changed, and return the events that tell of it."""
        rows = [*self._ended, *started]
        if rows:
            await self._commit(rows)
            self._has_begun = True
            self._ended.clear()
        return [_event(step, step.status) for step in rows]

    async def _commit(self, rows: Sequence[Step]) -> None:
        run = self._run
        for wait in (*RETRY_SECONDS, None):
            try:
                await in_transaction(
                    steps.save, run.generation_id, run.epoch, rows, are_first=not self._has_begun
                )
                return
            except Overloaded as exc:
                if wait is None:
                    raise StorageFailed from exc
                logger.warning("A step of %s is not saved yet: %s", run.generation_id, exc)
                await asyncio.sleep(wait)

    def _count(self, piece: Piece) -> Piece:
        step = next(reversed(self._open.values()), None)
        if step is not None:
            if piece.text:
                step.first_delta_at = step.first_delta_at or timezone.now()
                step.deltas += len(split_text(piece.text))
            if piece.usage:
                step.calls += 1
                step.usage = dict(Counter(step.usage or {}) + Counter(piece.usage))
        self._used.update(piece.usage or {})
        if self._used and (piece.usage or piece.finish_reason):
            return replace(piece, usage=dict(self._used))
        return piece


def _event(step: Step, status: str) -> Piece:
    data: dict[str, Any] = {"name": step.name, "status": str(status), "sequence": step.sequence}
    if status == Step.Status.DONE and (result := _brief(step.result)):
        data["result"] = result
    return Piece(step=data)


def _brief(result: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what of a result fits an event: its flags, numbers and short words."""
    return {
        name: value
        for name, value in (result or {}).items()
        if isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) <= MAX_TOLD)
    }


def _traceback(error: BaseException) -> str:
    text = clean_text(hide_secrets("".join(traceback.format_exception(error))))
    return text if len(text) <= MAX_TRACEBACK else f"…{text[-MAX_TRACEBACK:]}"

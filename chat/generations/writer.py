"""The one writer of a generation: it runs the chain and appends what comes to the log."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from django.utils import timezone

from chat.access import ask_for
from chat.agents.run import stream_agent
from chat.chain import Piece, stream_answer
from chat.conf import chat_settings
from chat.errors import AnswerTooLong, GenerationTimeout
from chat.eventlog import BaseEventLog
from chat.events import Event, EventKind
from chat.generations import continued
from chat.generations.budgets import Guard, guard
from chat.generations.end import Facts, as_chat_error
from chat.generations.journal import Journal
from chat.generations.timing import Marks
from chat.generations.turns import Run
from chat.text import split_text

BUDGET = "budget"  # Why an answer ended whose budget was spent meanwhile.


class Writer:
    """
    Writes one answer.

    `write()` may be cancelled at any moment: what has been written by then is
    what the log says.
    """

    def __init__(self, run: Run, log: BaseEventLog) -> None:
        self.run = run
        self.log = log
        self._bytes = len(run.kept.encode())
        self._first_delta_at: datetime | None = None
        self._finish_reason = ""
        self._usage: dict[str, int] | None = None
        self._journal: Journal | None = None
        self._marks = Marks()
        self._guard: Guard | None = None

    async def write(self, events: Sequence[Event] = ()) -> None:
        """
        Write the answer to its natural end. Raise a ChatError when there is none.

        ``events`` are what the log has of it already: nothing beyond what is kept.
        """
        settings = chat_settings()
        run = self.run
        for kind, data in continued.beginning(run, events):
            await self._add(kind, **data)
        if run.kept:
            self._marks.note(len(run.kept))  # There from the start: it was not waited for.
        try:
            async with asyncio.timeout(settings.max_generation_seconds):
                await ask_for(run.owner_id)
                self._guard = await guard(run)
                async with aclosing(self._answer(settings.system_prompt)) as pieces:
                    async for piece in pieces:
                        await self._take(piece, settings.max_answer_bytes)
                        if self._guard and await self._is_spent(self._guard, piece):
                            break
                await self.log.flush(run.generation_id)
        except TimeoutError:
            raise GenerationTimeout from None

    def _answer(self, system: str) -> AsyncGenerator[Piece, None]:
        run = self.run
        asked: dict[str, Any] = {
            "model": run.model,
            "system": system if run.system is None else run.system,
            "history": run.history,
            "prompt": run.prompt,
            "options": run.options,
        }
        if not run.agent:
            return stream_answer(**asked)
        self._journal = Journal(run)
        return self._journal.keep(stream_agent(run.agent, **asked))

    async def _take(self, piece: Piece, max_bytes: int) -> None:
        if piece.step:
            await self._add(EventKind.STEP, **piece.step)
        for part in split_text(piece.reasoning):
            self._measure(part, max_bytes)
            self._marks.note_thought()
            await self._add(EventKind.REASONING, text=part)
        for part in split_text(piece.text):
            self._measure(part, max_bytes)
            self._marks.note(len(part))
            await self._add(EventKind.DELTA, text=part)
            self._first_delta_at = self._first_delta_at or timezone.now()
        self._finish_reason = piece.finish_reason or self._finish_reason
        self._usage = dict(piece.usage) if piece.usage else self._usage

    async def _is_spent(self, guard: Guard, piece: Piece) -> bool:
        is_spent = guard.count(piece)
        for notice in guard.notices():
            await self._add(EventKind.NOTICE, **notice)
        if not is_spent or self._finish_reason:
            return False
        self._finish_reason = BUDGET
        return True

    def _measure(self, part: str, max_bytes: int) -> None:
        self._bytes += len(part.encode())
        if self._bytes > max_bytes:
            raise AnswerTooLong

    async def _add(self, kind: EventKind, **data: Any) -> None:
        await self.log.add(self.run.generation_id, kind, **data)

    def facts(self, error: BaseException | None = None) -> Facts:
        """Return what is to be saved beside the text."""
        return Facts(
            first_delta_at=self._first_delta_at,
            finish_reason=self._finish_reason,
            usage=self._usage,
            error=as_chat_error(error).as_dict() if error else None,
            steps=self._journal.unfinished(error) if self._journal else (),
            marks=self._marks.as_list(),
            thought_ms=self._marks.thought_ms,
        )

"""The one writer of a generation: it runs the chain and appends what comes to the log."""

import asyncio
from contextlib import aclosing
from datetime import datetime
from typing import Any

from django.utils import timezone

from chat.chain import Piece, stream_answer
from chat.conf import chat_settings
from chat.errors import AnswerTooLong, GenerationTimeout
from chat.eventlog import BaseEventLog
from chat.events import EventKind
from chat.generations.end import Facts, as_chat_error
from chat.generations.turns import Run

MAX_EVENT_CHARS = 16_384  # Larger deltas are split, so that no reader gets a huge frame.


class Writer:
    """
    Writes one answer.

    `write()` may be cancelled at any moment: what has been written by then is
    what the log says.
    """

    def __init__(self, run: Run, log: BaseEventLog) -> None:
        self.run = run
        self.log = log
        self._bytes = 0
        self._first_delta_at: datetime | None = None
        self._finish_reason = ""
        self._usage: dict[str, int] | None = None

    async def write(self, *, has_started: bool = False) -> None:
        """Write the answer to its natural end. Raise a ChatError when there is none."""
        settings = chat_settings()
        run = self.run
        if not has_started:
            await self._add(EventKind.STARTED, **run.started)
        try:
            async with asyncio.timeout(settings.max_generation_seconds):
                answer = stream_answer(
                    model=run.model,
                    system=settings.system_prompt if run.system is None else run.system,
                    history=run.history,
                    prompt=run.prompt,
                    options=run.options,
                )
                async with aclosing(answer) as pieces:
                    async for piece in pieces:
                        await self._take(piece, settings.max_answer_bytes)
                await self.log.flush(run.generation_id)
        except TimeoutError:
            raise GenerationTimeout from None

    async def _take(self, piece: Piece, max_bytes: int) -> None:
        if piece.step:
            await self._add(EventKind.STEP, **piece.step)
        for part in _split(piece.reasoning):
            self._measure(part, max_bytes)
            await self._add(EventKind.REASONING, text=part)
        for part in _split(piece.text):
            self._measure(part, max_bytes)
            await self._add(EventKind.DELTA, text=part)
            self._first_delta_at = self._first_delta_at or timezone.now()
        self._finish_reason = piece.finish_reason or self._finish_reason
        self._usage = dict(piece.usage) if piece.usage else self._usage

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
        )


def _split(text: str) -> list[str]:
    if len(text) <= MAX_EVENT_CHARS:
        return [text] if text else []
    return [text[i : i + MAX_EVENT_CHARS] for i in range(0, len(text), MAX_EVENT_CHARS)]

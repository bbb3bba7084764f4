"""The text of answers being written, saved every second where a crash could lose their log."""

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID

from chat.database import in_transaction
from chat.errors import ChatError
from chat.eventlog import event_log
from chat.events import Event, EventKind
from chat.generations import turns
from chat.generations.end import text_of
from chat.generations.turns import Run
from chat.generations.writer import Writer

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0


async def save_progress(active: Mapping[UUID, Writer]) -> None:
    """Save what the writers have written, again and again until none is left."""
    saved: dict[UUID, int] = {}
    while active:
        await asyncio.sleep(CHECKPOINT_SECONDS)
        runs = {pk: writer.run for pk, writer in active.items()}
        logs = await asyncio.gather(*map(_settled, runs))
        progress: list[tuple[Run, str, str]] = []
        for run, events in zip(runs.values(), logs, strict=True):
            if len(events) > saved.get(run.generation_id, 0):
                saved[run.generation_id] = len(events)
                text = max(text_of(events, EventKind.DELTA), run.kept, key=len)
                progress.append((run, text, text_of(events, EventKind.REASONING)))
        try:
            await in_transaction(turns.save_progress, progress)
        except Exception:
            logger.exception("The progress of %d answers is not saved yet", len(progress))
            saved.clear()


async def _settled(generation_id: UUID) -> list[Event]:
    try:
        return await event_log().settled(generation_id)
    except ChatError:
        return []  # It has ended, or is another's, by now.

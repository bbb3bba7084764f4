"""The engine in force, and the inline one: generations run where they were accepted."""

import asyncio
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_transaction
from chat.drain import is_draining
from chat.errors import ChatError, EventsExpired, Fenced, LogClosed, StorageFailed
from chat.eventlog import event_log
from chat.events import Event, EventKind
from chat.failpoints import reach
from chat.generations import continued, titles, turns
from chat.generations.end import End, Facts, Status, text_of, was_shown
from chat.generations.notify import notify_conversation
from chat.generations.progress import save_progress
from chat.generations.turns import Run
from chat.generations.workers import worker_id
from chat.generations.writer import Writer
from chat.models import Generation

logger = logging.getLogger(__name__)

SAVE_RETRY_SECONDS = (0.1, 0.5, 1, 2, 5)  # The last one is repeated.
# A log that is away is waited for when a run is taken over, but not for ever.
OPEN_RETRY_SECONDS = (0.5, 1, 1)
# A run that nobody saw anything of is begun again so often, should it kill its process each time.
MAX_EPOCHS = 3
CLOSE_SECONDS = 10.0

ENGINES = {
    "inline": "chat.generations.engine.InlineEngine",
    "procrastinate": "chat.generations.handout.ProcrastinateEngine",
}


@functools.cache
def engine() -> "InlineEngine":
    """Return the process's engine, chosen by ``CHAT["ENGINE"]``."""
    name = chat_settings().engine
    made: InlineEngine = import_string(ENGINES.get(name, name))()
    return made


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHAT":
        engine.cache_clear()


class InlineEngine:
    """
    Runs generations, each by a writer task and an uncancelled finisher task.

    Only writers are ever cancelled, and each at most once: a task cancelled
    before its first step skips its ``finally``, and a second cancellation
    would interrupt the first one's clean-up. The finisher waits for the
    writer, however it ends, and records that end exactly once.
    """

    def __init__(self) -> None:
        self._writers: dict[UUID, asyncio.Task[None]] = {}
        self._finishers: dict[UUID, asyncio.Task[None]] = {}
        self._active: dict[UUID, Writer] = {}
        self._ends: dict[UUID, Status] = {}  # How a cancelled writer's generation is to end.
        self._checkpointer: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def worker(self) -> UUID | None:
        """The process that runs what is accepted here."""
        return worker_id()

    def run_ids(self) -> set[UUID]:
        """Return the generations that run here."""
        return set(self._finishers)

    def runs(self, generation_id: UUID) -> bool:
        """Tell whether a generation runs here."""
        return generation_id in self._finishers

    def accept(self, generation: Generation) -> Run | None:
        """
        Take a generation on, within the unit of work that accepts it.

        Return what to `start()` once that is committed; None if another
        process is to run it.
        """
        return turns.begin_run(generation)

    def owner_of(self, generation_id: UUID) -> Any:
        """Return whose answer this process writes just now; None if it writes no such."""
        writer = self._active.get(generation_id)
        return None if writer is None else writer.run.owner_id

    async def hand_out(self, generation_id: UUID) -> bool:
        """
        Offer what nobody runs to the processes that run. Return False if that is this one.

        Idempotent: what is still on offer is not offered twice.
        """
        return False

    async def work(self, stopping: asyncio.Event) -> None:
        """Take what is handed out until told to stop. What runs then goes on."""
        raise ImproperlyConfigured("The engine in force runs in the web processes.")

    async def start(self, run: Run) -> None:
        """Begin to write what was claimed. The run belongs to no caller."""
        await event_log().begin(run.generation_id, epoch=run.epoch, stored=run.stored)
        self._start(run, run.stored)

    async def take_over(self, run: Run, *, stop: bool = False) -> Status:
        """
        Bring a run to its end that another process left. Return its status then.

        What nobody saw anything of is begun again; else its text is kept.
        """
        log = event_log()
        status = Status.STOPPED if stop else Status.INTERRUPTED
        events = await self._events_left(run)
        if events is None:
            await in_transaction(turns.end_unlogged, run.generation_id, run.epoch, status)
            await log.discard(run.generation_id)
            return status
        if not stop and not was_shown(events, run.kept) and run.epoch <= MAX_EPOCHS:
            self._start(run, events)
            return Status.RUNNING
        await self._record_end(run, status, Facts())
        return status

    @staticmethod
    async def _events_left(run: Run) -> list[Event] | None:
        """Return what the log holds of a run; None if readers may have seen more than that."""
        log = event_log()
        if not log.is_durable:
            return None
        for wait in OPEN_RETRY_SECONDS:
            try:
                events = await log.open(run.generation_id, epoch=run.epoch)
                break
            except StorageFailed:
                await asyncio.sleep(wait)
        else:
            return None
        # Who wrote before has appended something first of all, or nobody has written yet.
        is_lost = log.can_lose_events and not events and run.epoch > 1
        is_short = len(text_of(events, EventKind.DELTA)) < len(run.saved_text)
        return None if is_lost or is_short else events

    def _start(self, run: Run, events: Sequence[Event]) -> None:
        writer = Writer(run, event_log())
        self._active[run.generation_id] = writer
        task = spawn(writer.write(events))
        self._writers[run.generation_id] = task
        self._finishers[run.generation_id] = spawn(self._finish(writer, task))
        if event_log().can_lose_events and (
            self._checkpointer is None or self._checkpointer.done()
        ):
            self._checkpointer = spawn(save_progress(self._active))

    async def stop(self, generation_id: UUID, *, end: Status = Status.STOPPED) -> bool:
        """
        Stop a writer of this process and wait until its end is recorded.

        Return False if no such writer is here. The upstream connection is
        closed before the end is recorded.
        """
        finisher = self._finishers.get(generation_id)
        if finisher is None:
            return False
        if generation_id not in self._ends:
            self._ends[generation_id] = end
            self._writers[generation_id].cancel()
            reach("during-stop")
        await asyncio.wait([finisher])
        return True

    @property
    def is_busy(self) -> bool:
        return bool(self._finishers)

    async def idle(self) -> None:
        """Return when no run is left."""
        while self._finishers:
            await asyncio.wait(list(self._finishers.values()))

    async def close(self) -> None:
        """
        End every run as interrupted, its text saved. For the end of the process.

        A database that is away is not waited for: whoever takes over will do it.
        """
        self._closing = True
        stops = [spawn(self._interrupt(pk)) for pk in list(self._finishers)]
        if stops:
            await asyncio.wait(stops, timeout=CLOSE_SECONDS)

    async def _interrupt(self, generation_id: UUID) -> None:
        await self.stop(generation_id, end=Status.INTERRUPTED)

    async def _finish(self, writer: Writer, task: asyncio.Task[None]) -> None:
        run = writer.run
        await asyncio.wait([task])
        status, error = Status.DONE, None
        if task.cancelled():
            status = self._ends.get(run.generation_id, Status.INTERRUPTED)
        elif error := task.exception():
            status = Status.FAILED
            if not isinstance(error, ChatError):
                logger.error("Generation %s failed", run.generation_id, exc_info=error)
        # What waits is left to the process that comes after this one.
        is_last = self._closing or is_draining()
        claim = None if is_last else functools.partial(self.claim_next, run.conversation_id)
        following = await self._record_end(run, status, writer.facts(error), claim)
        for table in (self._writers, self._finishers, self._active, self._ends):
            table.pop(run.generation_id, None)
        titles.make_later(run, status)
        if following is None:
            news = {"running": None, "ended": str(status)}
            await notify_conversation(run.owner_id, run.conversation_id, "updated", **news)
        else:
            await self._begin_next(following)

    async def _record_end(
        self,
        run: Run,
        status: Status,
        facts: Facts,
        claim_next: Callable[[], Run | None] | None = None,
    ) -> Run | None:
        """Return what was claimed in the same commit."""
        # Only the log knows what readers have seen, so a database that is
        # locked, full or away is waited for.
        log = event_log()
        waits = iter(SAVE_RETRY_SECONDS)
        following: Run | None = None

        def save() -> bool:
            nonlocal following
            is_ours = turns.end_run(run, end)
            following = claim_next() if is_ours and claim_next else None
            return is_ours

        while True:
            try:
                end = End.of(await continued.settled(log, run), status, facts)
                await log.append_end(run.generation_id, end.kind, save=save, **end.event_data())
                return following
            except (Fenced, EventsExpired, LogClosed):
                return None  # Taken over, deleted, or ended: it is not ours any more.
            except Exception:
                logger.exception("The end of generation %s is not saved yet", run.generation_id)
                await asyncio.sleep(next(waits, SAVE_RETRY_SECONDS[-1]))

    def claim_next(self, conversation_id: UUID) -> Run | None:
        """
        Claim what has waited longest in a conversation, or see to it that somebody does.

        A unit for `in_transaction()`. None if nothing waits, or something runs.
        """
        return turns.claim_next(conversation_id)

    async def start_next(self, conversation_id: UUID) -> None:
        """Start what has waited longest in a conversation, if anything does."""
        if is_draining():
            return  # It is left to the process that comes after this one.
        try:
            run = await in_transaction(self.claim_next, conversation_id)
        except ChatError as exc:
            # The watcher will find what waits.
            logger.warning("The queue of %s is not read yet: %s", conversation_id, exc)
            return
        if run is not None:
            await self._begin_next(run)

    async def _begin_next(self, run: Run) -> None:
        try:
            await self.start(run)
        except ChatError as exc:
            # The watcher will find what was claimed and not begun.
            logger.warning("Generation %s is not begun yet: %s", run.generation_id, exc)
            return
        await notify_conversation(
            run.owner_id,
            run.conversation_id,
            "updated",
            running=str(run.generation_id),
            message=str(run.message_id),
        )

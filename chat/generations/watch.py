"""
The watch of a process: it shows that it lives, and takes over from those that do not.

It also hears of stops that were asked for elsewhere, runs what waits for
nobody, deletes for good what was deleted, and runs the rules of retention. All of
it is safe to do twice, and by several processes at once.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import connection

from chat import access
from chat.background import spawn
from chat.bus import bus
from chat.database import in_database, in_transaction
from chat.drain import is_draining
from chat.errors import ChatError
from chat.failpoints import reach
from chat.generations import budgets, turns, workers
from chat.generations.end import Status
from chat.generations.engine import engine

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
# A worker has died when so many looks in a row have found its beats unchanged.
# Looks that fail do not count: nobody can beat while the database is away.
SILENT_LOOKS = 5
STOP_POLL_SECONDS = 0.5
PURGE_SECONDS = 60.0
STOP_TOPIC = "stop"  # What is said on the bus beside the note on the row, to be heard sooner.


class Watcher:
    """One per process that runs generations. `start()` it before serving."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._unsubscribe: Callable[[], None] = lambda: None
        # Looks without a sign of life, by worker, or by generation where that has none.
        self._silent: dict[UUID, int] = {}
        self._beats: dict[UUID, int] = {}
        self._idle: set[UUID] = set()  # Claimed by this process at the last look, and not begun.
        self._taken: set[UUID] = set()  # Run here, and not this process's at the last look.

    async def start(self) -> int:
        """Take over what is known to be left, and begin to watch. Return how many that were."""
        await access.refresh()  # Which models there are, before any is asked.
        taken = 0
        if is_alone():
            sight = await in_database(workers.look, beat=False)
            for generation_id, worker in sight.running:
                taken += await self._take_over(generation_id, worker) != Status.RUNNING
            await self._start_waiting(sight.waiting)
        else:
            await self._look()
        access.hear()
        keep = (self._keep_looking, self._keep_stopping, self._keep_purging)
        self._tasks = [spawn(each()) for each in keep]
        self._unsubscribe = bus().subscribe(STOP_TOPIC, _hear_stop)
        return taken

    async def close(self) -> None:
        """Stop watching. Call when nothing runs here any more."""
        self._unsubscribe()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._tasks and not is_alone() and not engine().is_busy:
            with suppress(ChatError):  # The others will notice.
                await in_transaction(workers.leave, workers.worker_id())
        self._tasks = []

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await access.refresh(life=access.EARLY_SECONDS)
                await self._look()
            except ChatError:
                continue  # Said by the database; the next look will tell.
            except Exception:
                logger.exception("The watch over the workers failed")

    async def _look(self) -> None:
        here = engine().run_ids()
        if is_alone():
            sight = await in_database(workers.look, beat=False)
        else:
            sight = await in_transaction(workers.look, beat=True)
        self._count(sight)
        self._stop_what_is_not_ours(here, sight)
        if is_draining():
            return  # What there is to do is left to the process that comes after this one.
        idle = set()
        for generation_id, worker in sight.running:
            if worker != workers.worker_id():
                if self._silent.get(worker or generation_id, 0) >= SILENT_LOOKS:
                    spawn(self._try_take_over(generation_id, worker))
            elif not engine().runs(generation_id):
                if generation_id in self._idle:
                    spawn(self._try_take_over(generation_id, worker))
                idle.add(generation_id)
        self._idle = idle
        await self._start_waiting(sight.waiting)
        await self._bury(sight)

    def _stop_what_is_not_ours(self, here: set[UUID], sight: workers.Sight) -> None:
        # This process has slept, and others have taken over what it runs. A writer finds that
        # out when it appends; one that waits for its model would keep its readers waiting too.
        # Found twice, for a run may end just while it is looked for.
        ours = {pk for pk, worker in sight.running if worker == workers.worker_id()}
        taken = here - ours
        for generation_id in taken & self._taken:
            spawn(_stop(generation_id, Status.INTERRUPTED))
        self._taken = taken

    def _count(self, sight: workers.Sight) -> None:
        seen = {worker or pk for pk, worker in sight.running} | set(sight.beats)
        for worker in seen - {workers.worker_id()}:
            beats = sight.beats.get(worker, -1)
            unchanged = self._beats.get(worker) == beats
            self._silent[worker] = self._silent.get(worker, 0) + 1 if unchanged else 0
            self._beats[worker] = beats
        for gone in self._silent.keys() - seen:
            del self._silent[gone], self._beats[gone]

    async def _bury(self, sight: workers.Sight) -> None:
        busy = {worker for _, worker in sight.running}
        for worker in sight.beats.keys() - busy:
            if self._silent.get(worker, 0) >= SILENT_LOOKS:
                await in_transaction(workers.leave, worker)

    async def _try_take_over(self, generation_id: UUID, worker: UUID | None) -> None:
        try:
            await self._take_over(generation_id, worker)
        except Exception:
            # It is this process's by now, or still nobody's: the next look sees it again.
            logger.exception("Generation %s could not be taken over yet", generation_id)

    async def _take_over(self, generation_id: UUID, worker: UUID | None) -> Status | None:
        if worker is None and await engine().hand_out(generation_id):
            self._silent.pop(generation_id, None)  # Whoever is to run it gets as much time again.
            return None
        claimed = await in_transaction(turns.claim_orphan, generation_id, of=worker)
        if claimed is None:
            return None
        run, stop = claimed
        reach("during-recovery")
        logger.warning("Generation %s was left by its process and is taken over", generation_id)
        status = await engine().take_over(run, stop=stop)
        if status != Status.RUNNING:
            await engine().start_next(run.conversation_id)
        return status

    @staticmethod
    async def _start_waiting(conversations: Iterable[UUID]) -> None:
        for conversation_id in conversations:
            await engine().start_next(conversation_id)

    async def _keep_stopping(self) -> None:
        while True:
            await asyncio.sleep(STOP_POLL_SECONDS)
            if not engine().is_busy:
                continue
            try:
                for generation_id in await in_database(workers.stops_asked_for):
                    spawn(_stop(generation_id))
            except ChatError:
                continue
            except Exception:
                logger.exception("The stops asked for elsewhere were not read")

    async def _keep_purging(self) -> None:
        # They are built on what this is part of.
        from chat.generations.removal import purge_deleted
        from chat.generations.retention import run_due

        while True:
            await asyncio.sleep(PURGE_SECONDS)
            try:
                await purge_deleted()
                await in_transaction(budgets.sweep)
                await run_due()
            except ChatError:
                continue
            except Exception:
                logger.exception("What was deleted was not deleted for good")


def _hear_stop(message: dict[str, Any]) -> None:
    spawn(_stop(UUID(message["generation"])))


async def _stop(generation_id: UUID, end: Status = Status.STOPPED) -> None:
    await engine().stop(generation_id, end=end)


def is_alone() -> bool:
    """Tell whether no other process can run this site's generations."""
    # Whoever opens a site's SQLite file holds its data folder: see `start`.
    return connection.vendor == "sqlite"

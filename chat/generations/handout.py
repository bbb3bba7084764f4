"""
The Procrastinate engine: runs are handed out to processes of their own.

Procrastinate keeps what is handed out as rows of the site's own PostgreSQL, so
a prompt and the word that it is to be answered are one commit. That word is a
generation's id and no more. Who runs it is decided by the claim of its row:
heard twice, it does no harm; lost, the watchers repeat it.
"""

import asyncio
import logging
from uuid import UUID

from django.db import OperationalError, transaction
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status as JobStatus

from chat.background import spawn
from chat.conf import chat_settings
from chat.database import in_transaction
from chat.eventlog import event_log
from chat.generations import turns
from chat.generations.end import Status, was_shown
from chat.generations.engine import MAX_EPOCHS, InlineEngine, engine
from chat.generations.turns import Run
from chat.models import Generation

logger = logging.getLogger(__name__)

QUEUE = "chat"
# Until a queue that broke off, with the database, is read again.
RETRY_SECONDS = 2.0
# Until what was handed out is found although the word of it was lost.
POLL_SECONDS = 1.0


class ProcrastinateEngine(InlineEngine):
    """
    Hands runs out, and in a worker process runs what is handed to it.

    Every process has one. Without `work()` it accepts, stops and ends runs, but
    begins none.
    """

    @property
    def worker(self) -> UUID | None:
        """Nobody: what is accepted has to be claimed."""
        return None

    def accept(self, generation: Generation) -> Run | None:
        _hand_out(generation.pk)
        return None

    async def hand_out(self, generation_id: UUID) -> bool:
        await in_transaction(_hand_out, generation_id)
        return True

    async def run(self, generation_id: UUID) -> None:
        """Run a generation to its end, unless somebody else has claimed it, or it has ended."""
        claimed = await in_transaction(turns.claim_orphan, generation_id, of=None)
        if claimed is None:
            return
        run, stop = claimed
        if await super().take_over(run, stop=stop) != Status.RUNNING:
            await self.start_next(run.conversation_id)
        elif finisher := self._finishers.get(generation_id):
            await asyncio.wait([finisher])

    async def stop(self, generation_id: UUID, *, end: Status = Status.STOPPED) -> bool:
        """Stop a run of this process, or one that nobody has claimed yet. See InlineEngine."""
        if await super().stop(generation_id, end=end):
            return True
        claimed = await in_transaction(turns.claim_orphan, generation_id, of=None)
        if claimed is None:
            return False
        run, _ = claimed
        await super().take_over(run, stop=True)
        await self.start_next(run.conversation_id)
        return True

    async def take_over(self, run: Run, *, stop: bool = False) -> Status:
        """
        Bring a run to its end that another process left. Return its status then.

        What nobody saw anything of is handed out again: not opened here, since
        this process's readers will follow it elsewhere. Should a last event not
        be seen yet, then whoever opens the log will see it, and end the run.
        """
        if stop or run.epoch > MAX_EPOCHS:
            return await super().take_over(run, stop=stop)
        if was_shown(await event_log().read(run.generation_id, after=0, block=0), run.kept):
            return await super().take_over(run)
        await in_transaction(_hand_back, run.generation_id, run.epoch)
        return Status.RUNNING

    def claim_next(self, conversation_id: UUID) -> Run | None:
        run = turns.claim_next(conversation_id, own=False)
        if run is not None:
            _hand_out(run.generation_id)
        return run

    async def start(self, run: Run) -> None:
        """Leave it to whoever it was handed out to."""

    async def work(self, stopping: asyncio.Event) -> None:
        """See InlineEngine. A queue that breaks off is read again as soon as that is possible."""
        while not stopping.is_set():
            try:
                await _read_queue(stopping)
            except Exception as exc:
                logger.warning("The queue cannot be read: %s", exc)
            if not stopping.is_set():
                await asyncio.sleep(RETRY_SECONDS)


@app.task(name="chat.run", queue=QUEUE)
async def run_generation(generation_id: str) -> None:
    """Run what was handed out. It goes on by itself when this is cancelled."""
    here = engine()
    assert isinstance(here, ProcrastinateEngine)
    await asyncio.shield(spawn(here.run(UUID(generation_id))))


def _hand_out(generation_id: UUID) -> None:
    key = str(generation_id)
    try:
        with transaction.atomic():  # A savepoint: what is on offer already is refused.
            run_generation.configure(queueing_lock=key).defer(generation_id=key)
    except AlreadyEnqueued:
        pass
    except ConnectorException as exc:
        raise OperationalError(*exc.args) from exc.__cause__


def _hand_back(generation_id: UUID, epoch: int) -> None:
    if turns.give_up(generation_id, epoch):
        _hand_out(generation_id)


async def _read_queue(stopping: asyncio.Event) -> None:
    # Its own connections: Django's belong to threads, and listen to nothing.
    queue = app.with_connector(DjangoConnector().get_worker_connector())
    # Not to be cancelled while it opens: the pool would go on connecting, and keep the loop.
    async with queue.open_async():
        for job in await queue.job_manager.get_stalled_jobs(queue=QUEUE):
            # Left by a process that died. Its generation is the watchers' business.
            await queue.job_manager.finish_job(job, status=JobStatus.ABORTED, delete_job=True)
        reading = asyncio.create_task(
            queue.run_worker_async(
                queues=[QUEUE],
                concurrency=chat_settings().worker_concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=POLL_SECONDS,
                # Runs go on without whoever awaits them here.
                shutdown_graceful_timeout=0,
                delete_jobs="always",
            )
        )
        told = asyncio.create_task(stopping.wait())
        await asyncio.wait([reading, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()

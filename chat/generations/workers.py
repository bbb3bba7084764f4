"""
Units of database work on workers: the processes that run generations.

See `chat.models.Worker` for how one is known to be alive.
"""

import functools
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Exists, F, OuterRef

from chat.models import Conversation, Generation, Worker
from chat.models.ids import new_id


@functools.cache
def _id_in(pid: int) -> UUID:
    return new_id()


def worker_id() -> UUID:
    """Return this process's id. A forked process gets one of its own."""
    return _id_in(os.getpid())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What there is to watch: who beats, who runs what, and what nobody runs."""

    beats: dict[UUID, int]
    running: Sequence[tuple[UUID, UUID | None]]  # Generation and worker.
    waiting: Sequence[UUID]  # Conversations with a queue and no running answer.


def look(*, beat: bool) -> Sight:
    """Show that this process lives, if it is to, and look around."""
    if beat and not Worker.objects.filter(pk=worker_id()).update(beats=F("beats") + 1):
        Worker.objects.create(id=worker_id(), name=f"{socket.gethostname()} {os.getpid()}")
    here = Generation.objects.filter(conversation=OuterRef("pk"))
    waiting = Conversation.objects.filter(Exists(here.queued())).exclude(Exists(here.running()))
    return Sight(
        beats=dict(Worker.objects.values_list("pk", "beats")),
        running=list(Generation.objects.running().values_list("pk", "worker")),
        waiting=list(waiting.values_list("pk", flat=True)),
    )


def leave(worker: UUID) -> None:
    """Forget a process that runs nothing any more."""
    Worker.objects.filter(pk=worker).delete()


def stops_asked_for() -> list[UUID]:
    """Return the generations of this process that somebody elsewhere wants stopped."""
    asked = Generation.objects.running().filter(worker=worker_id())
    return list(asked.exclude(stop_requested_at=None).values_list("pk", flat=True))

"""The contract of every event log."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any
from uuid import UUID

from chat.errors import InvalidCursor
from chat.events import Event, EventKind


class BaseEventLog(ABC):
    """
    The ordered record of what each generation emitted.

    One writer appends. Any number of readers follow, each with its own cursor
    and at its own pace: a slow reader never delays the writer, and a lost one
    never stops it. A reader sees an event only once it is as safe as the
    backend can make it.
    """

    # Can a reader in another process follow a generation written in this one?
    supports_many_processes = False
    # Do events outlive the process that wrote them?
    is_durable = False
    # Can it lose events that readers have seen? The text is then saved every second.
    can_lose_events = True

    @abstractmethod
    async def open(self, generation_id: UUID, *, epoch: int = 0) -> list[Event]:
        """
        Become the writer of a log, begun here or left by another writer. Idempotent.

        From now on a writer of a lower epoch is refused. Return the events the
        log has. Readers may wait for its first event. Raise Fenced if a later
        epoch writes already.
        """

    def store_first(self, generation_id: UUID, *, epoch: int, event: Event) -> bool:
        """
        Store a log's first event within the unit of database work that claims its generation.

        Return False, having done nothing, where the log is not in that database.
        """
        return False

    async def begin(
        self, generation_id: UUID, *, epoch: int = 0, stored: Sequence[Event] = ()
    ) -> None:
        """
        Become the writer of a log that nobody has written to yet. See `open()`.

        ``stored`` is what `store_first()` took.
        """
        await self.open(generation_id, epoch=epoch)

    async def discard(self, generation_id: UUID) -> None:  # noqa: B027
        """Let go of a log opened here that is not whole any more. Its generation has ended."""

    async def expect(self, generation_id: UUID) -> None:  # noqa: B027
        """Let readers wait for the first event of a log that is yet to be opened."""

    @abstractmethod
    async def append(self, generation_id: UUID, kind: EventKind, **data: Any) -> Event:
        """
        Add the next event; return once readers may see it.

        It takes place even if the caller is cancelled meanwhile: `settled()`
        tells. Raise LogClosed after a terminal event, EventsExpired if not
        open here, Fenced if a later epoch has opened the log, StorageFailed if
        the backend could not take it: the generation then has to end.
        """

    async def add(self, generation_id: UUID, kind: EventKind, **data: Any) -> None:
        """
        Add the next event; return as soon as it is on its way, and the one before it is shown.

        For a writer that has something else to wait for. What goes wrong is
        raised, as by `append()`, by the next call or by `flush()`.
        """
        await self.append(generation_id, kind, **data)

    async def flush(self, generation_id: UUID) -> None:  # noqa: B027
        """Return once readers may see what was added. Raise as `append()` does."""

    @abstractmethod
    async def append_end(
        self, generation_id: UUID, kind: EventKind, *, save: Callable[[], bool], **data: Any
    ) -> Event | None:
        """
        Save the end of a generation, then add its terminal event.

        ``save`` is a unit of database work; whoever sees the event finds its
        work committed. If it returns False the generation had ended before:
        return None, nothing is added. Raise as `append()` does, and whatever
        ``save`` raises; the call may then be repeated.
        """

    @abstractmethod
    async def settled(self, generation_id: UUID) -> list[Event]:
        """
        Return all events of a log open here, once none is on its way any more.

        Nothing that is not among them has been or will be seen by a reader.
        """

    @abstractmethod
    async def last(self, generation_id: UUID, *, seen: int = 0) -> Event | None:
        """
        Return the newest event, None if there is none yet. Raise EventsExpired if not kept.

        A reader that comes from another process may have seen more than is known
        here yet: if ``seen``, its cursor, is past that, the source is looked at again.
        """

    @abstractmethod
    async def read(self, generation_id: UUID, *, after: int, block: float) -> list[Event]:
        """
        Return the events past a cursor, waiting up to ``block`` seconds for one.

        All of them, or as many as are fit for one batch.

        Does not wait past the terminal event. Raise EventsExpired if not kept,
        InvalidCursor if ``after`` is past the last event.
        """

    async def close(self) -> None:  # noqa: B027
        """Let go of what the log holds open. No writer of this process is left."""

    async def follow(
        self, generation_id: UUID, *, after: int = 0, heartbeat: float = 15.0
    ) -> AsyncGenerator[list[Event], None]:
        """
        Yield batches up to and including the terminal event.

        A batch is whatever came since the previous one, so slow readers get
        fewer, larger batches; an empty one marks ``heartbeat`` quiet seconds.
        """
        last = await self.last(generation_id, seen=after)
        cursor = last.cursor if last else 0
        if not 0 <= after <= cursor:
            raise InvalidCursor(f"Cursor {after} is past the last event, {cursor}.")
        ended = last is not None and last.kind.is_terminal and after == cursor
        while not ended:
            batch = await self.read(generation_id, after=after, block=heartbeat)
            yield batch
            if batch:
                after = batch[-1].cursor
                ended = batch[-1].kind.is_terminal

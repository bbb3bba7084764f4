"""
The database from async code.

Django's own bridge sends the work of every socket through one shared thread,
where a single slow query holds up them all. Sockets, writers and API views use
these threads instead. One sync function is one unit of work and one hop.
"""

import asyncio
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections, transaction

from chat.background import outcome_of
from chat.errors import ChatError, Overloaded, StorageFailed

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8  # As many connections, kept open: these threads do not end with a request.
# Out of room, out of order, or read-only.
SQLITE_FULL = {"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_IOERR_WRITE", "SQLITE_READONLY"}
POSTGRES_DEADLOCK = "40P01"
POSTGRES_FULL = {"53100", "25006"}
GROUP = 64  # At most so many units share a commit.
END = None  # In place of a unit: there will be no more.


async def in_database(unit: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run one unit of reading in a thread of the pool.

    Raise Overloaded when the database is locked or away, StorageFailed when
    its disk is full; the thread's connection is then replaced. A connection
    that was found ended is replaced, and the unit run again.
    """
    return await _begin(unit, *args, **kwargs)


async def in_transaction(unit: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """
    Run one unit of writing in a transaction, and return when it is committed.

    Cancelling the caller does not cancel the unit: it commits or fails on its
    own. What the unit raises rolls back that unit alone. Raise Overloaded or
    StorageFailed as in_database() does; nothing was saved then, unless the
    connection broke in the very moment of the commit.
    """
    if _has_one_writer():
        return await _group_writer().submit(functools.partial(unit, *args, **kwargs))
    return await outcome_of(_begin(_atomically, functools.partial(unit, *args, **kwargs)))


def _begin(unit: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    work = functools.partial(_run, unit, *args, **kwargs)
    return asyncio.get_running_loop().run_in_executor(_pool(), work)


class _InDoubt(OperationalError):
    """A commit failed, and nobody knows whether it took place."""


class _Deadlock(OperationalError):
    """Two waited for each other, and PostgreSQL has undone all that this one did."""


def _atomically(unit: Callable[[], T]) -> T:
    is_written = False
    try:
        with transaction.atomic():
            result = unit()
            is_written = True
        return result
    except (OperationalError, InterfaceError) as exc:
        if is_written:
            raise _InDoubt(*exc.args) from exc.__cause__
        if getattr(exc.__cause__, "sqlstate", "") == POSTGRES_DEADLOCK:
            raise _Deadlock(*exc.args) from exc.__cause__
        raise


def _run(unit: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    before = connection.connection
    try:
        return unit(*args, **kwargs)
    except _Deadlock:
        pass
    except (OperationalError, InterfaceError) as exc:
        if isinstance(exc, _InDoubt) or before is None or _is_still(before):
            raise _gave_up(exc) from exc
        # The server had ended this thread's connection, perhaps long ago, and nothing was done.
        connections.close_all()
    try:
        return unit(*args, **kwargs)
    except (OperationalError, InterfaceError) as exc:
        raise _gave_up(exc) from exc


def _is_still(before: Any) -> bool:
    """Tell whether a thread's connection is the one it had, in working order."""
    return connection.connection is before and connection.is_usable()


def _gave_up(exc: Exception) -> ChatError:
    logger.warning("The database did not take a unit of work: %s", exc)
    connections.close_all()
    return StorageFailed(retry_after=10) if _is_full(exc) else Overloaded(retry_after=2)


def _is_full(exc: Exception) -> bool:
    """Tell whether more room, or a writable disk, is what is missing. Waiting will not help."""
    cause = exc.__cause__
    return (
        getattr(cause, "sqlite_errorname", "") in SQLITE_FULL
        or getattr(cause, "sqlstate", "") in POSTGRES_FULL
    )


class _GroupWriter:
    """
    SQLite's one writer: a thread that commits all waiting units together.

    Threads that contend for SQLite's write lock sleep in its busy handler, and
    each commit waits for the disk. With one thread nobody contends, and those
    who come while the disk is busy share the next commit.
    """

    def __init__(self) -> None:
        self._units: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="chat-writer", daemon=True)
        self._thread.start()

    async def submit(self, unit: Callable[[], T]) -> T:
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._units.put((unit, outcome))
        return await outcome

    def close(self) -> None:
        self._units.put(END)
        self._thread.join()

    def _work(self) -> None:
        is_last = False
        while not is_last:
            # The end is no unit: it must come even where the database is gone.
            first = self._units.get()
            is_last = first is END
            group = [] if is_last else [first, *self._waiting(GROUP)]
            for (_, outcome), (result, error) in zip(group, self._commit(group), strict=True):
                _tell(outcome, result, error)
        connections.close_all()

    def _waiting(self, limit: int) -> Iterator[Any]:
        with suppress(Empty):
            for _ in range(limit):
                unit = self._units.get_nowait()
                if unit is END:
                    self._units.put(END)  # Nothing comes after it.
                    return
                yield unit

    def _commit(self, group: list[Any]) -> list[tuple[Any, Exception | None]]:
        if not group:
            return []
        try:
            if len(group) == 1:
                return [_attempt(group[0][0])]  # It is a transaction of its own.
            with transaction.atomic():
                return [_attempt(unit) for unit, _ in group]
        except Exception as exc:
            # Those who came meanwhile have waited for the same lock, or disk.
            group.extend(self._waiting(self._units.qsize()))
            error = _gave_up(exc)
            return [(None, error) for _ in group]


def _attempt(unit: Callable[[], Any]) -> tuple[Any, Exception | None]:
    try:
        with transaction.atomic():  # In a group, a savepoint: one unit's failure is its own.
            return unit(), None
    except (OperationalError, InterfaceError):
        raise  # Of the connection, not of the unit.
    except Exception as exc:
        return None, exc


def _tell(outcome: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    with suppress(RuntimeError):  # The event loop has ended, and with it whoever waited.
        outcome.get_loop().call_soon_threadsafe(_settle, outcome, result, error)


def _settle(outcome: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if outcome.done():
        return  # Its caller was cancelled.
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)


@functools.cache
def _has_one_writer() -> bool:
    # Asked once: Django makes a connection object for every task that asks.
    return connection.vendor == "sqlite"


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="chat-database")


@functools.cache
def _group_writer() -> _GroupWriter:
    return _GroupWriter()


def close_database_threads() -> None:
    """End the threads, and with them their connections. A later call starts new ones."""
    if _group_writer.cache_info().currsize:
        _group_writer().close()
        _group_writer.cache_clear()
    if _pool.cache_info().currsize:
        pool = _pool()
        _pool.cache_clear()
        everybody = threading.Barrier(THREADS)  # Else a quick thread would close twice.

        def close() -> None:
            everybody.wait()
            connections.close_all()

        for _ in range(THREADS):
            pool.submit(close)
        pool.shutdown()

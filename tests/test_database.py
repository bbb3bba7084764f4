import asyncio
import threading
import time
from unittest import skipUnless

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import TransactionTestCase

from chat.database import THREADS, close_database_threads, in_database, in_transaction
from chat.errors import BadRequest, Overloaded
from chat.models import Conversation


def slow():
    time.sleep(0.3)


def locked():
    raise OperationalError("database is locked")


class InDatabaseTests(TransactionTestCase):
    async def test_a08_one_slow_unit_holds_up_no_other(self):
        units = [asyncio.create_task(in_database(slow)) for _ in range(3)]
        await asyncio.sleep(0.02)
        await in_database(Conversation.objects.count)
        assert not any(unit.done() for unit in units)
        await asyncio.gather(*units)

    async def test_a_database_that_is_away_is_an_overload_to_try_again(self):
        with pytest.raises(Overloaded) as caught:
            await in_database(locked)
        assert caught.value.retryable
        assert await in_database(Conversation.objects.count) == 0

    async def test_what_the_database_said_is_logged(self):
        with self.assertLogs("chat.database", "WARNING") as logs, pytest.raises(Overloaded):
            await in_database(locked)
        assert "database is locked" in logs.output[0]

    async def test_other_errors_are_the_callers(self):
        with pytest.raises(Conversation.DoesNotExist):
            await in_database(Conversation.objects.get, title="none")

    async def test_closed_threads_are_started_again(self):
        await in_database(Conversation.objects.count)
        await asyncio.to_thread(close_database_threads)
        assert await in_database(Conversation.objects.count) == 0


def create(title):
    owner, _ = get_user_model().objects.get_or_create(username="ann")
    return Conversation.objects.create(owner=owner, title=title)


def create_and_fail(title):
    create(title)
    raise BadRequest("no")


def titles():
    return sorted(Conversation.objects.values_list("title", flat=True))


class InTransactionTests(TransactionTestCase):
    async def test_what_has_returned_is_committed(self):
        await in_transaction(create, "a")
        assert await in_database(titles) == ["a"]

    async def test_a_failing_unit_takes_back_its_own_work_only(self):
        units = [create, create_and_fail, create, create_and_fail, create]
        results = await asyncio.gather(
            *(in_transaction(unit, str(i)) for i, unit in enumerate(units)),
            return_exceptions=True,
        )
        assert [isinstance(result, BadRequest) for result in results] == [
            False, True, False, True, False
        ]  # fmt: skip
        assert await in_database(titles) == ["0", "2", "4"]

    async def test_a_cancelled_caller_does_not_take_the_work_back(self):
        caller = asyncio.create_task(in_transaction(create, "kept"))
        await asyncio.sleep(0)
        caller.cancel()
        await in_transaction(create, "next")
        async with asyncio.timeout(5):
            while await in_database(titles) != ["kept", "next"]:
                await asyncio.sleep(0.01)

    async def test_a_database_that_is_away_fails_all_who_wait(self):
        results = await asyncio.gather(
            in_transaction(create, "a"), in_transaction(locked), return_exceptions=True
        )
        assert isinstance(results[1], Overloaded)
        await in_transaction(create, "b")
        assert "b" in await in_database(titles)

    @skipUnless(connection.vendor == "sqlite", "SQLite has one writer")
    async def test_units_that_wait_share_a_commit(self):
        commits = []
        await in_transaction(create, "first")

        def hold():
            connection.connection.set_trace_callback(commits.append)
            time.sleep(0.1)

        await asyncio.gather(
            in_transaction(hold), *(in_transaction(create, str(i)) for i in range(20))
        )
        assert commits.count("COMMIT") <= 3
        assert len(await in_database(titles)) == 21

    @skipUnless(connection.vendor == "postgresql", "SQLite has one writer")
    async def test_of_two_that_wait_for_each_other_both_are_done_in_the_end(self):
        first, second = await in_database(create, "first"), await in_database(create, "second")

        def lengthen(*rows):
            for row in rows:
                title = Concat("title", Value("!"))
                Conversation.objects.filter(pk=row.pk).update(title=title)
                time.sleep(0.3)

        await asyncio.gather(
            in_transaction(lengthen, first, second), in_transaction(lengthen, second, first)
        )
        titles = Conversation.objects.order_by("title").values_list("title", flat=True)
        assert await in_database(list, titles) == ["first!!", "second!!"]

    @skipUnless(connection.vendor == "postgresql", "SQLite's file ends no connections")
    async def test_d10_connections_that_the_server_has_ended_are_made_again(self):
        await in_transaction(create, "first")
        barrier = threading.Barrier(THREADS)
        await asyncio.gather(*(in_database(barrier.wait) for _ in range(THREADS)))
        await asyncio.to_thread(end_other_connections)
        barrier = threading.Barrier(THREADS)  # So that each thread has one turn.

        def create_together(title):
            create(title)
            barrier.wait(10)

        await asyncio.gather(
            *(in_transaction(create_together, str(number)) for number in range(THREADS))
        )
        assert len(await in_database(titles)) == THREADS + 1


def end_other_connections():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    connection.close()

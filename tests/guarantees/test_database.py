"""A database that is slow, locked or contended: whoever does not need it does not wait."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import OperationalError, connection, transaction

from chat.database import close_database_threads, in_database
from chat.models import Conversation
from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import database_path, site_with_people
from tests.guarantees.test_accept import in_threads
from tests.upstream import words_text

PROMPT = 0.3  # Seconds in which everybody else is answered.


@pytest.fixture(scope="module")
def served():
    # Only with the log in memory can an answer be shown while the database is locked:
    # with the log in the database nothing is shown that is not stored.
    with site_with_people(expect_errors=True, CHAT_EVENT_LOG="memory") as served:
        yield served


@pytest.fixture(scope="module")
def locked_site(served):
    return served[0]


@pytest.fixture(scope="module")
def dora(served):
    """Somebody who uses a site whose database others hold."""
    return served[1].ada


@contextmanager
def write_lock(site) -> Iterator[None]:
    """Hold the database's write lock, as a backup or an operator's shell may."""
    holder = sqlite3.connect(database_path(site), isolation_level=None, timeout=10)
    try:
        holder.execute("BEGIN IMMEDIATE")
        yield
        holder.execute("ROLLBACK")
    finally:
        holder.close()


def test_a08_a_write_that_waits_delays_no_other_socket(locked_site, dora):
    running = dora.ask("Count.", model="openai:infinite@50")["id"]
    ended = dora.ended(dora.ask("Short.", model="openai:words:3"))
    with dora.socket() as waiting, dora.socket() as other:
        other.send("follow", generation=running, after=0)
        batches = other.batches(running)
        next(batches)
        with write_lock(locked_site):
            for _ in range(4):
                waiting.submit("Wait.", model="openai:words:3")
            until = time.monotonic() + 2.5
            delays = {"ping": [], "own ping": [], "delta": [], "follow": [], "read": []}
            while time.monotonic() < until:
                delays["ping"].append(other.ping())
                delays["own ping"].append(waiting.ping())
                delays["delta"].append(timed(lambda: next(batches)))
                other.send("follow", generation=ended["id"], after=0)
                delays["follow"].append(timed(lambda: other.events(ended["id"])))
                delays["read"].append(timed(lambda: dora.generation(ended["id"])))
            assert not [frame for frame, _ in waiting.pending if frame["type"] == "accepted"]
        for _ in range(4):
            waiting.wait("accepted")
    dora.stop(running)
    worst = {name: max(values) for name, values in delays.items()}
    assert max(worst.values()) < PROMPT, worst
    assert len(delays["ping"]) > 10


def timed(call) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def test_a08_units_of_database_work_run_beside_a_slow_one():
    async def work() -> list[float]:
        started = time.monotonic()
        slow = asyncio.create_task(in_database(time.sleep, 0.6))
        await asyncio.sleep(0.05)
        ends = [in_database(time.monotonic) for _ in range(40)]
        quick = [end - started for end in await asyncio.gather(*ends)]
        assert not slow.done()
        await slow
        five = time.monotonic()
        await asyncio.gather(*[in_database(time.sleep, 0.2) for _ in range(5)])
        return [max(quick), time.monotonic() - five]

    try:
        quick, five = asyncio.run(work())
    finally:
        close_database_threads()
    assert quick < 0.4
    assert five < 0.5


def test_d12_a_lock_that_is_held_refuses_prompts_and_spares_running_answers(locked_site, dora):
    generation = dora.ask("Count.", model="openai:words:120@25")  # Ends while the lock is held.
    seen: list[tuple[float, object]] = []

    def follow() -> None:
        with dora.follow(generation["id"]) as stream:
            seen.extend((time.monotonic(), event) for event in stream)

    reader = threading.Thread(target=follow)
    conversation = dora.conversation()
    reader.start()
    with dora.socket() as socket:
        with write_lock(locked_site):
            locked = time.monotonic()
            prompt = {"id": str(uuid4()), "conversation": conversation, "model": "openai:words:3"}
            key = socket.submit("By socket.", **prompt)
            refused = dora.post("By post.", conversation=conversation)
            assert 4 < time.monotonic() - locked < 7
            error = socket.wait("error", id=key)
            assert (error["code"], error["retryable"]) == ("overloaded", True)
            assert socket.ping() < PROMPT
        released = time.monotonic()
        # The same key again: nothing was kept of the first try.
        accepted = socket.ask("By socket.", **prompt)
        assert dora.ended(dora.generation(accepted["generation"]))["status"] == "done"
    reader.join(15)
    events = [event for _, event in seen]
    check_log(events)
    assert (events[-1].kind, text_of(events)) == ("done", words_text(120))
    arrived = [at for at, event in seen if event.kind == "delta" and locked < at < released]
    assert len(arrived) > 60
    assert max(b - a for a, b in pairwise(arrived)) < PROMPT
    assert seen[-1][0] - released < 7
    found = dora.generation(generation["id"])
    assert (found["status"], dora.saved_text(found)) == ("done", words_text(120))
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    error = refused.json()["error"]
    assert (error["code"], error["retryable"]) == ("overloaded", True)
    assert [m["text"] for m in dora.messages(conversation)][::2] == ["By socket."]


def test_d12_a_lock_that_is_held_delays_stored_answers_and_loses_nothing():
    with site_with_people(expect_errors=True) as (site, people):
        ada = people.ada
        running = ada.ask("Count.", model="openai:words:200@40")["id"]
        read = ada.ended(ada.ask("Short.", model="openai:words:3"))["id"]
        with ada.socket() as socket:
            socket.send("follow", generation=running, after=0)
            batches = socket.batches(running)
            events = list(next(batches))
            with write_lock(site):
                locked = time.monotonic()
                refused = ada.post("By post.", conversation=ada.generation(read)["conversation"])
                assert 4 < time.monotonic() - locked < 7
                assert refused.status_code == 503
                # Whoever only reads does not wait.
                assert timed(lambda: ada.streamed(read)) < PROMPT
                assert socket.ping() < PROMPT
            for batch in batches:
                events += batch
        check_log(events)
        assert (events[-1].kind, text_of(events)) == ("done", words_text(200))


def test_d12_the_lock_in_the_logs_is_no_prompt_text(locked_site):
    assert "By post." not in locked_site.output
    assert "By socket." not in locked_site.output


@pytest.mark.django_db(transaction=True)
def test_d12_eight_writers_lose_no_update():
    user = get_user_model().objects.create_user("counter")
    pk = Conversation.objects.create(owner=user, title="0").pk

    def add_one() -> None:
        title = Conversation.objects.values_list("title", flat=True).get(pk=pk)
        Conversation.objects.filter(pk=pk).update(title=str(int(title) + 1))

    def add_hundred() -> None:
        try:
            for _ in range(100):
                in_turn(add_one)
        finally:
            connection.close()

    in_threads(*[add_hundred] * 8)
    assert Conversation.objects.get(pk=pk).title == "800"


def in_turn(unit) -> None:
    """Run a transaction; a lock may end it only when it has been waited for."""
    while True:
        started = time.monotonic()
        try:
            with transaction.atomic():
                unit()
                return
        except OperationalError:
            assert time.monotonic() - started > 4.5

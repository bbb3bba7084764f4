"""A02, A03, A07: many readers, and readers that come and go."""

import asyncio
import hashlib
import random
import resource
import time

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.crowd import Crowd
from tests.guarantees.processes import rss, sockets, threads, wait_until, warm_up
from tests.guarantees.readers import EventStreamParser, cut_events

MAX_READERS = 2000
KIB = 1024

SITE_ENV = {
    "CHAT_MAX_READERS": str(MAX_READERS),
    "CHAT_MAX_READERS_PER_USER": str(MAX_READERS + 100),
    "CHAT_FIRST_TOKEN_TIMEOUT": "600",
}
SITE_ERRORS = True  # Django calls each 503 one.


@pytest.fixture
def silent(any_ada):
    """A generation that says nothing for as long as the test runs."""
    generation = any_ada.ask("Wait.", model="openai:silent")["id"]
    yield generation
    any_ada.stop(generation)


def test_a02_two_thousand_idle_readers_are_held_and_the_next_is_refused(any_site, any_ada, silent):
    warm_up(any_ada)
    connections = sockets(any_site)
    pid = any_site.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (8192, 8192))

    async def attach():
        async with Crowd(any_ada) as crowd:
            await crowd.sockets(50, silent)
            await crowd.streams(50, silent)
            before = rss(any_site)
            followers = await crowd.sockets(MAX_READERS // 2 - 50, silent)
            between = rss(any_site)
            streams = await crowd.streams(MAX_READERS // 2 - 50, silent)
            after = rss(any_site)
            assert {member.status for member in followers} == {101}
            assert {member.status for member in streams} == {200}
            costs = (between - before) / len(followers), (after - between) / len(streams)
            assert max(costs) <= 60 * KIB, costs
            assert threads(any_site) < 100
            await assert_refused(crowd, silent)
            # Readers that were counted and not forgotten would leave no room.
            await crowd.disperse()
            await asyncio.sleep(2)
            again = await crowd.streams(100, silent)
            assert {member.status for member in again} == {200}

    asyncio.run(attach())
    assert "Too many open files" not in any_site.output
    assert any_site.process.pid == pid
    assert "Traceback" not in any_site.output
    wait_until(lambda: sockets(any_site) <= connections + 2)


async def assert_refused(crowd, generation):
    stream = crowd.come()
    await stream.open_stream(generation)
    assert stream.status == 503
    assert b"overloaded" in await stream.read()
    socket = crowd.come()
    await socket.open_socket()
    data = await asyncio.wait_for(socket.reader.read(100), 10)
    assert data[2:4] == (4429).to_bytes(2, "big")


def test_a03_five_hundred_readers_of_one_answer_get_the_same_bytes(any_ada):
    number = 500
    generation = any_ada.ask("Speak.", model="openai:words:150@30")["id"]

    async def follow():
        async with Crowd(any_ada) as crowd:
            streams = await crowd.streams(number // 2, generation)
            followers = await crowd.sockets(number // 2, generation)
            async with asyncio.timeout(60):
                await asyncio.gather(*(member.read() for member in streams))
                await asyncio.gather(*(member.read_until(b'"kind":"done"') for member in followers))
        return streams, followers

    streams, followers = asyncio.run(follow())
    events = EventStreamParser().feed(streams[0].data)
    check_log(events)
    assert len({hashlib.sha256(member.data).digest() for member in streams}) == 1
    seen = [event for event in events if event.kind != "started"]
    for member in followers:
        assert [event for event in events_of(member.data) if event.kind != "started"] == seen


def events_of(data):
    """Cut the events out of the frames that a server has sent."""
    found = []
    while data:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        payload, data = data[start : start + size], data[start + size :]
        if payload.startswith(b'{"type":"events"'):
            found += cut_events(payload.decode())
    return found


FLAPPING_SECONDS = 15


def test_a07_readers_that_come_and_go_leave_nothing_behind(any_site, any_ada):
    generation = any_ada.ask("Go on.", model="openai:infinite@20")["id"]
    any_ada.http.get("/conversations/")
    before, memory = sockets(any_site), 0
    chance = random.Random(7)
    ends_at = time.monotonic() + FLAPPING_SECONDS
    opened = 0

    async def flap(crowd, number):
        nonlocal opened
        while time.monotonic() < ends_at:
            member = crowd.come()
            opened += 1
            if (opened + number) % 2:
                await member.open_socket(generation)
            else:
                await member.open_stream(generation)
            assert member.status in (101, 200)
            reading = asyncio.create_task(member.read())
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            reading.cancel()
            member.leave(broken=chance.random() < 0.5)

    async def flap_all():
        nonlocal memory
        async with Crowd(any_ada) as crowd, asyncio.TaskGroup() as flapping:
            for number in range(30):
                flapping.create_task(flap(crowd, number))
            await asyncio.sleep(FLAPPING_SECONDS / 3)
            memory = rss(any_site)

    asyncio.run(flap_all())
    assert opened > 500
    wait_until(lambda: sockets(any_site) <= before + 1)
    assert rss(any_site) - memory < 24 * KIB * KIB
    any_ada.stop(generation)
    check_log(any_ada.streamed(generation))
    assert "Traceback" not in any_site.output

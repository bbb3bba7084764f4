"""D10, D11: PostgreSQL goes away, comes back, and has no room for us."""

import asyncio
import signal
import time
from contextlib import suppress

import psycopg
import pytest

from tests.faults.clients import Client, Refused, Turn, chatter
from tests.faults.sites import SLACK, Scene, two_processes
from tests.servers import PostgresServer

pytestmark = pytest.mark.faults

AWAY = 3.0
HEALED = 5.0
OUR_BACKENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'faults%'"


@pytest.fixture(scope="module")
def postgres():
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def scene(postgres):
    with two_processes(postgres) as scene:
        yield scene


async def talk(scene: Scene, number: int, until) -> list[Turn]:
    async with scene.client(f"ada-{number}", seed=number) as client:
        return [turn async for turn in chatter(client, "openai:words:80@40", until)]


async def post_once(client: Client) -> float | None:
    """Try to have a prompt accepted; return when to come back if the site says 503."""
    turn = Turn(f"Once {time.monotonic()}", "openai:words:3")
    refused = None
    try:
        await client._post(turn)
    except Refused as exc:
        refused = exc
    if refused is None:
        return None
    assert (refused.status, refused.code) == (503, "overloaded")
    assert refused.retry_after
    return refused.retry_after


def test_d10_a_database_that_crashes_is_waited_for(scene, postgres):
    asyncio.run(crash(scene, postgres))
    assert scene.judge() == []


async def crash(scene: Scene, postgres: PostgresServer) -> None:
    over = False
    talking = [asyncio.create_task(talk(scene, number, lambda: over)) for number in range(6)]
    for _ in range(2):
        await asyncio.sleep(3)
        postgres.signal(signal.SIGQUIT)  # As `pg_ctl stop -m immediate`.
        await asyncio.to_thread(postgres.wait)
        async with scene.client("bob") as bob:
            gone = time.monotonic()
            while time.monotonic() < gone + AWAY:
                assert await post_once(bob)
            await asyncio.to_thread(postgres.start)
            back = time.monotonic()
            while await post_once(bob) is not None:
                assert time.monotonic() < back + HEALED + SLACK
        await asyncio.sleep(1)
    over = True
    turns = [turn for group in await asyncio.gather(*talking) for turn in group]
    assert {turn.status for turn in turns} <= {"done", "stopped", "interrupted"}
    assert len(turns) > 12
    await scene.settle()


def test_d10_connections_that_are_all_ended_are_made_again(scene, postgres):
    asyncio.run(terminate_again_and_again(scene, postgres))
    assert scene.judge() == []


async def terminate_again_and_again(scene: Scene, postgres: PostgresServer) -> None:
    over = False
    talking = [asyncio.create_task(talk(scene, number, lambda: over)) for number in range(6)]
    for _ in range(10):
        await asyncio.sleep(1)
        with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
            connection.execute(OUR_BACKENDS)
    over = True
    turns = [turn for group in await asyncio.gather(*talking) for turn in group]
    assert {turn.status for turn in turns} <= {"done", "stopped", "interrupted"}
    assert len(turns) >= 6
    await scene.settle()


def test_d11_no_connections_left_is_503_and_running_answers_go_on(scene, postgres):
    asyncio.run(exhaust(scene, postgres))
    assert scene.judge() == []


class Crowd:
    """Others who take all the connections that the server has."""

    def __init__(self, postgres: PostgresServer) -> None:
        self.address = postgres.url_of("postgres")
        self.connections: list[psycopg.Connection] = []

    def fill(self) -> None:
        with suppress(psycopg.OperationalError):
            while True:
                self.connections.append(psycopg.connect(self.address, autocommit=True))

    def throw_out_the_site(self) -> None:
        for _ in range(3):  # It is quick to come back.
            self.connections[0].execute(OUR_BACKENDS)
            time.sleep(0.2)
            self.fill()

    def leave(self) -> None:
        for connection in self.connections:
            connection.close()


async def exhaust(scene: Scene, postgres: PostgresServer) -> None:
    crowd = Crowd(postgres)
    async with scene.client("ada") as ada, scene.client("bob") as bob:
        turn = Turn("Through all of this.", "openai:words:600@40")
        await ada.ask(turn)
        reading = asyncio.create_task(ada.finish(turn))
        try:
            await asyncio.to_thread(crowd.fill)
            # The connections that the site has are its own: answers go on with them.
            before = turn.cursor
            await asyncio.sleep(2)
            assert turn.cursor > before + 10
            await asyncio.to_thread(crowd.throw_out_the_site)
            asked = time.monotonic()
            while await post_once(bob) is None:
                assert time.monotonic() < asked + 10
                await asyncio.to_thread(crowd.throw_out_the_site)
            assert not reading.done()
        finally:
            await asyncio.to_thread(crowd.leave)
        freed = time.monotonic()
        while await post_once(bob) is not None:
            assert time.monotonic() < freed + HEALED + SLACK
        await asyncio.wait_for(reading, 60)
        assert turn.status == "done"
        await scene.settle()

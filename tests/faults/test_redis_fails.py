"""D06, D07, D08: Redis dies, fills, stalls and slows down while it keeps a site's logs."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.faults.clients import Turn, chatter
from tests.faults.sites import SLACK, Scene, two_processes
from tests.proxy import Proxy
from tests.servers import RedisServer

pytestmark = pytest.mark.faults

HANG = 10.0  # No reader waits longer for a sign of what becomes of its answer.
STOPPED = 1.5
# Of an answer that has ended while Redis is away, the message is read.
ENDS = ("done", "stopped", "interrupted", "failed", "events_expired")


class RedisScene:
    def __init__(self, scene: Scene, server: RedisServer, proxy: Proxy) -> None:
        self.scene = scene
        self.server = server
        self.proxy = proxy

    def command(self, *words: str) -> object:
        with redis.Redis(port=self.server.port) as client:
            return client.execute_command(*words)


@pytest.fixture
def stage(postgres_server) -> Iterator[RedisScene]:
    with RedisServer() as server, Proxy(server.port) as proxy:
        address = f"redis://127.0.0.1:{proxy.port}/0"
        env = {"REDIS_URL": address, "CHAT_EVENT_LOG": "redis"}
        with two_processes(postgres_server, **env) as scene:
            yield RedisScene(scene, server, proxy)


def judge(stage: RedisScene) -> None:
    assert stage.scene.judge() == []


async def talk(scene: Scene, number: int, until: Callable[[], bool]) -> list[Turn]:
    async with scene.client(f"ada-{number}", seed=number, may_expire=True) as client:
        return [turn async for turn in chatter(client, "openai:words:80@40", until)]


async def while_people_talk(stage: RedisScene, fault: Callable[[], None]) -> list[Turn]:
    """Have something done to Redis while answers are written, and return what came of them."""
    over = False
    scene = stage.scene
    talking = [asyncio.create_task(talk(scene, number, lambda: over)) for number in range(5)]
    async with scene.client("bob", may_expire=True) as bob:
        long = Turn("Through all of this.", "openai:words:600@30")
        await bob.ask(long)
        reading = asyncio.create_task(bob.finish(long))
        while long.cursor < 20:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(fault)
        done = time.monotonic()
        after = await bob.converse("After that.", model="openai:words:5")
        assert time.monotonic() - done < HANG + SLACK
        assert after.status == "done"
        over = True
        turns = [turn for group in await asyncio.gather(*talking) for turn in group]
        await asyncio.wait_for(reading, 60)
    await scene.settle()
    turns.append(long)
    for turn in turns:
        assert turn.longest_wait < HANG + SLACK, turn
        assert turn.status in ENDS, turn
        if turn.status == "failed":
            assert turn.end.fields["code"] == "storage", turn
    return turns


@pytest.mark.parametrize("away", [5, 20])
def test_d06_redis_that_dies_and_comes_back_empty_loses_no_prompt(stage, away):
    def die() -> None:
        stage.server.kill()
        time.sleep(away)
        stage.server.start()

    turns = asyncio.run(while_people_talk(stage, die))
    judge(stage)
    if away == 5:  # Its writers have waited for it.
        assert {turn.status for turn in turns} <= {"done", "stopped", "events_expired"}


@contextmanager
def full(stage: RedisScene) -> Iterator[None]:
    stage.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    stage.command("CONFIG", "SET", "maxmemory", "10mb")
    number = 0
    while True:
        try:
            stage.command("SET", f"ballast:{number}", "x" * 100_000)
        except redis.ResponseError:
            break
        number += 1
    stage.command("CONFIG", "SET", "maxmemory", "1")  # To the last byte.
    try:
        yield
    finally:
        stage.command("CONFIG", "SET", "maxmemory", "0")


def test_d07_redis_that_is_full_loses_no_prompt(stage):
    def fill() -> None:
        with full(stage):
            time.sleep(15)

    asyncio.run(while_people_talk(stage, fill))
    judge(stage)


def test_d07_connections_that_redis_ends_are_made_again(stage):
    def kill() -> None:
        for _ in range(10):
            for kind in ("normal", "pubsub"):
                stage.command("CLIENT", "KILL", "TYPE", kind)
            time.sleep(0.5)

    turns = asyncio.run(while_people_talk(stage, kill))
    judge(stage)
    assert {turn.status for turn in turns} <= {"done", "stopped", "events_expired"}


def test_d07_redis_that_pauses_is_waited_for(stage):
    def pause() -> None:
        stage.command("CLIENT", "PAUSE", "5000", "ALL")
        time.sleep(6)

    turns = asyncio.run(while_people_talk(stage, pause))
    judge(stage)
    assert {turn.status for turn in turns} <= {"done", "stopped", "events_expired"}


def test_d08_slow_redis_delays_no_stop(stage):
    stage.proxy.delay = 0.2
    waits = asyncio.run(stop_here_and_elsewhere(stage.scene))
    judge(stage)
    assert max(waits) < STOPPED, waits


async def stop_here_and_elsewhere(scene: Scene) -> list[float]:
    """Return how long each stop took, asked in one process and in the other."""
    waits = []
    async with scene.client("ada") as ada:
        for number in range(6):
            site = scene.sites[number % 2]
            async with scene.client(f"bob-{number}", urls=lambda site=site: [site.url]) as bob:
                turn = Turn(f"To be stopped {number}", "openai:infinite@30")
                await ada.ask(turn) if number < 3 else await bob.ask(turn)
                if number < 3:  # It is Ada's: she stops it herself, wherever she gets to.
                    bob.http.headers["Authorization"] = ada.headers["Authorization"]
                    bob.headers = ada.headers
                reading = asyncio.create_task(bob.finish(turn))
                while turn.cursor < 5:
                    await asyncio.sleep(0.05)
                begun = time.monotonic()
                await bob.stop(turn)
                waits.append(time.monotonic() - begun)
                await reading
                assert turn.status == "stopped"
    return waits

"""D02: processes are killed at random, again and again, under people who chat."""

import asyncio
import os
import random
import time
from collections import Counter
from typing import Any

import pytest

from tests.faults.clients import chatter
from tests.faults.conftest import IS_FULL
from tests.faults.sites import RECOVERY, SLACK, Scene, one_process, two_processes

CYCLES = int(os.environ.get("FAULT_CYCLES", "200" if IS_FULL else "5"))
CLIENTS = int(os.environ.get("FAULT_CLIENTS", "20" if IS_FULL else "6"))
MODELS = ["openai:words:60@60", "openai:words:20@100", "openai:echo", "openai:words:300@150"]
PATIENCE = 60.0  # For those who talk when the last kill is over.


def test_d02_random_kills_of_one_process_lose_nothing():
    with one_process() as scene:
        run(scene)


@pytest.mark.faults
def test_d02_random_kills_of_two_processes_lose_nothing(postgres_server):
    with two_processes(postgres_server) as scene:
        run(scene)


@pytest.mark.faults
def test_d02_random_kills_of_two_processes_on_redis_lose_nothing(postgres_server, redis_server):
    env = {"REDIS_URL": redis_server.url, "CHAT_EVENT_LOG": "redis"}
    with two_processes(postgres_server, **env) as scene:
        # What Redis has nothing of when its writer dies is ended without a log.
        run(scene, may_expire=True)


def run(scene: Scene, **options: Any) -> None:
    seed = random.randrange(10**6)
    turns, seconds = asyncio.run(kill_again_and_again(scene, random.Random(seed), **options))
    found = scene.judge()
    kinds = dict(Counter(finding.kind for finding in found))
    figures = f"{CYCLES} kills, {CLIENTS} clients, {turns} turns, {len(found)} findings {kinds}"
    print(f"\n{figures}; settled after {seconds:.1f} s; seed {seed}")  # noqa: T201 - for -s
    assert found == []
    assert seconds < RECOVERY + SLACK
    assert turns >= CLIENTS
    assert len(scene.history.rows) >= turns


async def kill_again_and_again(
    scene: Scene, rng: random.Random, **options: Any
) -> tuple[int, float]:
    over = False
    turns = 0

    async def talk(number: int) -> None:
        nonlocal turns
        name = f"{rng.choice(['ada', 'bob', 'root'])}-{number}"
        life = (0.1, 3.0) if number % 2 else None
        # Until the last kill the site may be away whenever somebody comes.
        ours = options | {"seed": number, "life": life, "patience": 3600}
        async with scene.client(name, **ours) as client:
            async for _ in chatter(client, client.random.choice(MODELS), lambda: over):
                turns += 1

    talking = [asyncio.create_task(talk(number)) for number in range(CLIENTS)]
    await asyncio.sleep(1)
    for _ in range(CYCLES):
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        site = rng.choice(scene.sites)
        await asyncio.to_thread(site.kill)
        await asyncio.to_thread(site.start)
    up = time.monotonic()
    over = True
    await asyncio.wait_for(asyncio.gather(*talking), PATIENCE)
    await scene.settle()
    return turns, time.monotonic() - up

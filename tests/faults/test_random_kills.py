"""D02, D03: processes are killed, or told to end, again and again, under people who chat."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.clients import chatter
from tests.faults.conftest import IS_FULL
from tests.faults.sites import RECOVERY, SLACK, Scene, one_process, two_processes
from tests.servers import DaphneSite, Site, UvicornSite

CYCLES = int(os.environ.get("FAULT_CYCLES", "200" if IS_FULL else "5"))
CLIENTS = int(os.environ.get("FAULT_CLIENTS", "20" if IS_FULL else "6"))
MODELS = ["openai:words:60@60", "openai:words:20@100", "openai:echo", "openai:words:300@150"]
PATIENCE = 60.0  # For those who talk when the last kill is over.
ENDS = int(os.environ.get("FAULT_ENDS", "50"))
DRAIN_SECONDS, MARGIN = 2, 5  # A process told to end has so long, and so much longer at most.


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


@pytest.mark.faults
@pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
def test_d03_a_process_told_to_end_in_mid_answer_loses_nothing(kind):
    drain = {"CHAT_DRAIN_SECONDS": str(DRAIN_SECONDS), "CHAT_DRAIN_JITTER_SECONDS": "1"}
    with one_process(kind, **drain) as scene:
        run(scene, end=tell_to_end, cycles=ENDS)


def tell_to_end(site: Site) -> None:
    site.signal(signal.SIGTERM)
    assert site.wait(DRAIN_SECONDS + MARGIN + SLACK) == 0, site.output


def run(
    scene: Scene,
    *,
    end: Callable[[Site], Any] = Site.kill,
    cycles: int = CYCLES,
    **options: Any,
) -> None:
    seed = random.randrange(10**6)
    ending = end_again_and_again(scene, random.Random(seed), end=end, cycles=cycles, **options)
    turns, seconds = asyncio.run(ending)
    found = scene.judge()
    kinds = dict(Counter(finding.kind for finding in found))
    figures = f"{cycles} ends, {CLIENTS} clients, {turns} turns, {len(found)} findings {kinds}"
    print(f"\n{figures}; settled after {seconds:.1f} s; seed {seed}")  # noqa: T201 - for -s
    assert found == []
    assert seconds < RECOVERY + SLACK
    assert turns >= CLIENTS
    assert len(scene.history.rows) >= turns


async def end_again_and_again(
    scene: Scene, rng: random.Random, *, end: Callable[[Site], Any], cycles: int, **options: Any
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
    for _ in range(cycles):
        await asyncio.sleep(rng.uniform(0.0, 2.0))
        site = rng.choice(scene.sites)
        await asyncio.to_thread(end, site)
        await asyncio.to_thread(site.start)
    up = time.monotonic()
    over = True
    await asyncio.wait_for(asyncio.gather(*talking), PATIENCE)
    await scene.settle()
    return turns, time.monotonic() - up

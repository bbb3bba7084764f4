"""D01: a process that dies at the worst moments leaves everything that anybody knows of."""

import asyncio
import random
import signal
import time

import pytest

from chat.failpoints import POINTS
from tests.faults.clients import Client, Turn
from tests.faults.sites import RECOVERY, SLACK, Scene, one_process

MODEL = "openai:words:40@200"
FIRST_SLICE = [
    ("after-accept-commit", "ws"),
    ("after-append:5", "sse"),
    ("before-end-commit", "ws"),
    ("during-stop", "sse"),
    ("during-recovery", "ws"),
]
# Not that of old conversations, of which there are none here: see tests/test_prune.py.
MET = [point for point in POINTS if point != "during-retention"]
# Of the points that are passed many times, any time may be the last.
TIMES = {"before-append": 30, "after-append": 30, "before-end-commit": 2, "after-end-commit": 2}


@pytest.fixture(scope="module")
def scene():
    with one_process() as scene:
        yield scene


@pytest.mark.parametrize(("point", "transport"), FIRST_SLICE)
def test_d01_a_process_that_dies_there_loses_nothing(scene, point, transport):
    die_and_recover(scene, point, transport)


@pytest.mark.faults
@pytest.mark.parametrize("transport", ["ws", "sse", "poll"])
@pytest.mark.parametrize("point", MET)
def test_d01_a_process_that_dies_at_any_time_there_loses_nothing(scene, point, transport):
    for _ in range(20):
        nth = random.randint(1, TIMES.get(point, 1))
        die_and_recover(scene, f"{point}:{nth}", transport)


def die_and_recover(scene: Scene, point: str, transport: str) -> None:
    site = scene.site
    site.kill()
    if point.startswith("during-recovery"):
        site.start()
        asyncio.run(leave_running(scene))
        site.kill()
    site.failpoint = point
    start_doomed(site)
    asyncio.run(people_meet_it(scene, point, transport))
    assert scene.judge() == []


async def leave_running(scene: Scene) -> None:
    """Have an answer begun for whoever comes next to recover."""
    async with scene.client("bob", transports=["sse"]) as bob:
        turn = Turn(f"To be recovered {time.monotonic()}", "openai:words:1000@50")
        await bob.ask(turn)
        reading = asyncio.create_task(bob.finish(turn))
        while turn.cursor < 3:
            await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait([reading])


def start_doomed(site) -> None:
    try:
        site.start()
    except Exception:  # It died before it was up: in its recovery.
        assert site.failpoint.startswith("during-recovery")


async def people_meet_it(scene: Scene, point: str, transport: str) -> None:
    site = scene.site
    async with (
        scene.client("ada", transports=[transport]) as ada,
        scene.client("bob", transports=["ws", "sse", "poll"]) as bob,
    ):
        died = asyncio.Event()
        acting = [asyncio.create_task(talk(client, died)) for client in (ada, bob)]
        if point.startswith("during-stop"):
            acting.append(asyncio.create_task(stop_one(ada)))
        code = await asyncio.to_thread(site.wait, 30)
        assert code == -signal.SIGKILL
        died.set()
        site.failpoint = None
        await asyncio.to_thread(site.start)
        up = time.monotonic()
        await asyncio.wait_for(asyncio.gather(*acting), 60)
        await scene.settle()
        assert time.monotonic() - up < RECOVERY + SLACK


async def talk(client: Client, died: asyncio.Event) -> None:
    """Ask until the site has died: how often an answer passes a point depends on its pace."""
    while True:
        await client.converse(f"{client.name}'s {time.monotonic()}", model=MODEL)
        if died.is_set():
            return


async def stop_one(client: Client) -> None:
    turn = Turn(f"To be stopped {time.monotonic()}", "openai:words:1000@50")
    await client.ask(turn)
    reading = asyncio.create_task(client.finish(turn))
    while turn.cursor < 3:
        await asyncio.sleep(0.01)
    await client.stop(turn)
    await reading

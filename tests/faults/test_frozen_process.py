"""D05: a process that sleeps through its own replacement can write nothing afterwards."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from tests.faults.clients import Turn
from tests.faults.sites import RECOVERY, SLACK, Scene, two_processes
from tests.servers import BASE_DIR


@pytest.fixture(scope="module")
def scene(postgres_server):
    with two_processes(postgres_server) as scene:
        yield scene


TALKS, IS_SILENT = "openai:words:4000@40", "openai:hang-after:12@20"
HEARS = 6.0  # Seconds after which a process that wakes up knows what it has missed.


@pytest.mark.parametrize(
    ("owner", "model"),
    [
        (0, TALKS),
        pytest.param(1, TALKS, marks=pytest.mark.faults),
        pytest.param(0, IS_SILENT, marks=pytest.mark.faults),
        pytest.param(1, IS_SILENT, marks=pytest.mark.faults),
    ],
)
def test_d05_a_process_that_wakes_up_late_appends_nothing(scene, owner, model):
    asyncio.run(freeze(scene, owner, model))
    assert scene.judge() == []


@pytest.mark.faults
def test_d05_one_that_sleeps_within_a_transaction_is_replaced_as_soon(scene):
    asyncio.run(freeze(scene, 0, TALKS, holds_row=True))
    assert scene.judge() == []


HOLD = """
import os, signal
from django.db import transaction
from chat.models import Generation
with transaction.atomic():
    Generation.objects.select_for_update().get(pk="{pk}")
    print("HOLDS", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@contextmanager
def held(scene: Scene, generation: str) -> Iterator[None]:
    """Have a process that has stopped lock a generation's row."""
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", HOLD.format(pk=generation)]
    holder = subprocess.Popen(
        command, cwd=BASE_DIR, env=scene.site.env, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout
        assert holder.stdout.readline().strip() == "HOLDS"
        yield
    finally:
        holder.kill()
        holder.communicate()


async def freeze(scene: Scene, owner: int, model: str, *, holds_row: bool = False) -> None:
    frozen, other = scene.sites[owner], scene.sites[1 - owner]
    turn = Turn(f"To be frozen {time.monotonic()}", model)
    async with (
        scene.client("ada-owner", urls=lambda: [frozen.url], transports=["ws"]) as at_owner,
        scene.client("ada-other", urls=lambda: [other.url]) as at_other,
    ):
        await at_owner.ask(turn)
        seen = [Turn(turn.prompt, turn.model, generation=turn.generation) for _ in range(2)]
        reading = [
            asyncio.create_task(client.finish(mine))
            for client, mine in zip((at_owner, at_other), seen, strict=True)
        ]
        while min(mine.cursor for mine in seen) < 5:
            await asyncio.sleep(0.02)
        frozen.signal(signal.SIGSTOP)
        with held(scene, turn.generation) if holds_row else nullcontext():
            stopped = time.monotonic()
            try:
                await asyncio.wait_for(reading[1], RECOVERY + SLACK)
            finally:
                await asyncio.sleep(max(0, stopped + 2 - time.monotonic()))
                frozen.signal(signal.SIGCONT)
        assert seen[1].status == "interrupted"
        # What the model server has sent meanwhile is there for the old writer to append. If it
        # is silent, nothing but a look at its row tells him.
        await asyncio.wait_for(reading[0], HEARS + SLACK)
        assert seen[0].end == seen[1].end
        entry = next(e for e in scene.upstream.journal if said(e) == turn.prompt)
        assert await asyncio.to_thread(scene.upstream.wait_for, lambda _: entry["closed"])
        # It is a process like any other again.
        again = await at_owner.converse(f"After that {time.monotonic()}", model="openai:words:5")
        assert again.status == "done"
        await scene.settle()


def said(entry) -> str:
    return entry["body"]["messages"][-1]["content"]

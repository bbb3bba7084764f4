"""D13: a disk that is full refuses prompts and ends answers by name; with room, all goes on."""

import asyncio
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.clients import Client, Refused, Turn
from tests.faults.sites import LIMITS, SLACK, DoomedSite, Scene
from tests.guarantees.sites import People, database_path


class SmallSite(DoomedSite):
    """Its data folder is a file system of 8 MB."""

    def start(self):
        if not self.data_dir.is_mount():
            command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(self.data_dir)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"NOT PROVEN: D13 mounts a small disk, which needs root: {done.stderr}")
        return super().start()

    def close(self) -> None:
        self.stop()
        if self.data_dir.is_mount():
            subprocess.run(["umount", "-l", str(self.data_dir)], check=True)
        super().close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    with SmallSite(env=LIMITS) as site:
        people = People(site)
        try:
            yield Scene([site], people)
        finally:
            people.close()


@contextmanager
def no_room(folder: Path) -> Iterator[None]:
    """Fill a file system to its last byte."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()


def test_d13_a_full_disk_ends_answers_by_name_and_heals(scene):
    asyncio.run(fill_the_disk(scene))
    assert scene.judge() == []
    scene.site.stop()
    database = sqlite3.connect(database_path(scene.site))
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        database.close()


async def fill_the_disk(scene: Scene) -> None:
    running = Turn("While there is room.", "openai:infinite@200")
    async with scene.client("ada") as ada, scene.client("bob") as bob:
        await ada.ask(running)
        reading = asyncio.create_task(ada.finish(running))
        while running.cursor < 20:
            await asyncio.sleep(0.02)
        pid = scene.site.process.pid
        with no_room(scene.site.data_dir):
            first = await refused(bob)
            for _ in range(5):
                await asyncio.sleep(0.2)
                await refused(bob)
        freed = time.monotonic()
        while await post(bob) is not None:
            assert time.monotonic() < freed + 5 + SLACK
            await asyncio.sleep(0.2)
        assert first.retry_after
        await asyncio.wait_for(reading, 15)
        assert running.end is not None
        assert (running.end.kind, running.end.fields["code"]) == ("failed", "storage")
        after = await ada.converse("With room again.", model="openai:words:20")
        assert after.status == "done"
        assert scene.site.process.pid == pid
        os.kill(pid, 0)
        await scene.settle()


async def refused(client: Client) -> Refused:
    """Ask until the site refuses: what is mapped already may take a few prompts more."""
    until = time.monotonic() + 10
    while (error := await post(client)) is None:
        assert time.monotonic() < until, "Prompts are accepted on a full disk"
    assert error.status in (503, 507)
    assert error.code in ("overloaded", "storage")
    return error


async def post(client: Client) -> Refused | None:
    try:
        await client._post(Turn(f"Is there room? {time.monotonic()}", "openai:words:3"))
    except Refused as exc:
        return exc
    return None

"""D19: a database copied at any instant, even with a torn tail, opens and holds what was acked."""

import asyncio
import random
import shutil
import signal
import sqlite3
import struct
from pathlib import Path

import pytest

from tests.faults.clients import chatter
from tests.faults.conftest import IS_FULL
from tests.faults.sites import Scene, one_process
from tests.guarantees.sites import database_path

pytestmark = pytest.mark.faults

COPIES = 40 if IS_FULL else 5
HEADER, FRAME_HEADER = 32, 24


class Wal:
    """How far a write-ahead log reaches: the frames with its own salt, up to the last commit."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes() if path.exists() else b""
        self.salt = data[16:24]
        self.committed = HEADER  # Bytes up to the last commit.
        if len(data) < HEADER:
            return
        size = FRAME_HEADER + struct.unpack(">I", data[8:12])[0]
        for start in range(HEADER, len(data) - size + 1, size):
            if data[start + 8 : start + 16] != self.salt:
                break
            if struct.unpack(">I", data[start + 4 : start + 8])[0]:  # A commit's last frame.
                self.committed = start + size


def test_d19_a_copy_of_any_instant_opens_and_holds_what_was_acknowledged(tmp_path):
    with one_process() as scene:
        checked = asyncio.run(copy_again_and_again(scene, tmp_path))
    assert checked >= COPIES


async def copy_again_and_again(scene: Scene, folder: Path) -> int:
    over = False
    checked = 0

    async def talk(number: int) -> None:
        async with scene.client(f"ada-{number}", seed=number) as client:
            async for _ in chatter(client, "openai:words:40@100", lambda: over):
                pass

    talking = [asyncio.create_task(talk(number)) for number in range(5)]
    await asyncio.sleep(1)
    for number in range(COPIES):
        await asyncio.sleep(random.uniform(0, 0.3))
        scene.site.signal(signal.SIGSTOP)
        try:
            acked = {(ack.generation, ack.prompt) for ack in scene.history.acks}
            copy = copy_files(scene, folder / str(number))
        finally:
            scene.site.signal(signal.SIGCONT)
        tear(copy)
        await asyncio.to_thread(check_copy, copy, acked)
        checked += 1
    over = True
    await asyncio.gather(*talking)
    await scene.settle()
    assert scene.judge() == []
    return checked


def copy_files(scene: Scene, folder: Path) -> Path:
    folder.mkdir()
    source = database_path(scene.site)
    for path in source.parent.glob(source.name + "*"):
        if not path.name.endswith("-shm"):  # Made anew, as after a loss of power.
            shutil.copy(path, folder / path.name)
    return folder / source.name


def tear(database: Path) -> None:
    """Cut or soil what stands after the last commit, as a write that was under way leaves it."""
    path = database.with_name(database.name + "-wal")
    wal = Wal(path)
    data = path.read_bytes()
    keep = random.randint(min(wal.committed, len(data)), len(data))
    path.write_bytes(data[:keep] + random.randbytes(random.choice([0, 100, 5000])))


def check_copy(path: Path, acked: set[tuple[str, str]]) -> None:
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute(
            "SELECT lower(g.id), p.text FROM chat_generation g"
            " JOIN chat_message m ON m.id = g.message_id JOIN chat_message p ON p.id = m.parent_id"
        ).fetchall()
    finally:
        database.close()
    missing = {(pk.replace("-", ""), prompt) for pk, prompt in acked} - set(rows)
    assert not missing

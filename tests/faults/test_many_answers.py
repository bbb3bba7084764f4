"""A01: five hundred answers at once in one process, again and again."""

import asyncio
import sys

import httpx
import pytest

from tests.faults.sites import one_process
from tests.guarantees.processes import rss
from tests.servers import DaphneSite, Server, UvicornSite

ANSWERS = 500
WORDS, PER_SECOND = 300, 30
# The first six find out how much memory such a round takes: from there on it is level.
WARM, ROUNDS = 6, 10
PATIENCE = 120.0
MIB = 1 << 20

ROOM = {
    "CHAT_MAX_RUNNING_PER_USER": "1000",
    "CHAT_MAX_READERS_PER_USER": "1000",
    "CHAT_RETENTION_SECONDS": "5",  # What has ended is not kept for the next round.
}


class UpstreamProcess(Server):
    """The model server, in a process of its own: it sends 15,000 tokens a second."""

    def command(self):
        return [sys.executable, "-m", "tests.upstream"]

    def is_up(self):
        return "http" in self.output

    @property
    def base_url(self):
        return self.output.split()[0]

    @property
    def journal(self):
        address = self.base_url.removesuffix("/v1") + "/_control/journal"
        return httpx.get(address, timeout=30).json()["requests"]


@pytest.fixture(scope="module")
def upstream():
    with UpstreamProcess() as upstream:
        yield upstream


@pytest.mark.faults
@pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
def test_a01_five_hundred_answers_at_once_are_complete_and_leave_no_memory_behind(kind, upstream):
    with one_process(kind, upstream=upstream, **ROOM) as scene:
        sizes = []
        for number in range(ROUNDS):
            asyncio.run(ask_all(scene, number))
            sizes.append(rss(scene.site))
        assert scene.judge() == []
        assert len(scene.history.rows) == ROUNDS * ANSWERS
        assert sizes[-1] - sizes[WARM - 1] <= 8 * MIB, [size // MIB for size in sizes]


async def ask_all(scene, number):
    async with scene.client("ada", transports=["ws"], patience=PATIENCE) as ada:
        asking = [
            ada.converse(f"Round {number}, {each}", model=f"openai:words:{WORDS}@{PER_SECOND}")
            for each in range(ANSWERS)
        ]
        turns = await asyncio.gather(*asking)
    assert {turn.status for turn in turns} == {"done"}
    await scene.settle()
    await asyncio.sleep(10)  # Longer than the logs are kept.

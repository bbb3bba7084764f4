"""D16: a process without file descriptors refuses, lives, and recovers."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from websockets.asyncio.client import connect

from tests.faults.clients import FAILURES, Turn
from tests.faults.sites import LIMITS, SLACK, DoomedSite, Scene
from tests.guarantees.sites import People
from tests.servers import UvicornSite

pytestmark = pytest.mark.faults

PRLIMIT = ["prlimit", "--nofile=64"]


class FewDescriptors(DoomedSite):
    def command(self):
        return [*PRLIMIT, *super().command()]


class FewDescriptorsUvicorn(UvicornSite):
    def command(self):
        return [*PRLIMIT, *super().command()]


@pytest.mark.parametrize("kind", [FewDescriptors, FewDescriptorsUvicorn])
def test_d16_a_process_out_of_descriptors_refuses_and_recovers(kind):
    with kind(env=LIMITS) as site:
        people = People(site)
        scene = Scene([site], people)
        asyncio.run(exhaust(scene))
        people.close()
        assert scene.judge() == []
        assert site.process.poll() is None


async def exhaust(scene: Scene) -> None:
    headers = {"Authorization": f"Bearer {scene.people.ada.key}"}
    address = f"{scene.site.ws_url}/ws/chat/"
    async with scene.client("ada", transports=["ws"]) as ada, scene.client("bob") as bob:
        turn = Turn("Through all of this.", "openai:words:400@40")
        await ada.ask(turn)
        reading = asyncio.create_task(ada.finish(turn))
        while turn.cursor < 5:
            await asyncio.sleep(0.02)
        held, failed = [], 0
        async with AsyncExitStack() as stack:
            for _ in range(100):
                try:
                    one = connect(address, additional_headers=headers, proxy=None, open_timeout=1)
                    held.append(await stack.enter_async_context(one))
                except FAILURES:
                    failed += 1
                if failed >= 5:
                    break
            assert len(held) > 5
            assert failed >= 5, "There was no limit"
            # Who is connected is served: the process does not spin on what it cannot accept.
            for _ in range(5):
                await asyncio.sleep(0.2)
                async with asyncio.timeout(5):
                    await (await held[0].ping())
        freed = time.monotonic()
        after = await bob.converse("After that.", model="openai:words:5")
        assert after.status == "done"
        assert time.monotonic() < freed + 10 + SLACK
        await asyncio.wait_for(reading, 40)
        await scene.settle()

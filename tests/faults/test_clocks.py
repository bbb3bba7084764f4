"""D15: no two clocks are compared, and one that jumps ends nothing."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.clients import Turn
from tests.faults.sites import LIMITS, RECOVERY, SLACK, DoomedSite, Scene
from tests.guarantees.sites import People
from tests.servers import DaphneSite, UvicornSite
from tests.upstream import FakeUpstream

pytestmark = pytest.mark.faults

HOUR, DAY = 3600.0, 86_400.0


class OtherUptime(DaphneSite):
    """Its monotonic clock is a day ahead: a machine that has been up longer."""

    def command(self):
        clock = ["unshare", "--time", "--monotonic", "86400", "--boottime", "86400", "--fork"]
        return [*clock, "--kill-child", *super().command()]


@pytest.fixture
def clocks(tmp_path):
    return [tmp_path / "first", tmp_path / "second"]


@pytest.fixture
def scene(postgres_server, clocks):
    database = postgres_server.create_database(f"faults_clocks_{time.monotonic_ns()}")
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream())
        sites = []
        for kind, clock in zip((DoomedSite, UvicornSite), clocks, strict=True):
            env = LIMITS | {"DATABASE_URL": database, "FAULTS_CLOCK": str(clock)}
            env["DJANGO_SETTINGS_MODULE"] = "tests.faults.clocks"
            sites.append(stack.enter_context(kind(upstream=upstream, env=env)))
        people = People(sites[0])
        stack.callback(people.close)
        yield Scene(sites, people, database=database)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY])
def test_d15_a_clock_that_jumps_ends_nothing(scene, clocks, jump):
    asyncio.run(talk_through(scene, clocks, jump))
    assert scene.judge() == []


async def talk_through(scene: Scene, clocks: list[Path], jump: float) -> None:
    # Answers begin at either process; then the clock of one, and of the other, is wrong.
    async with (
        scene.client("ada", urls=lambda: [scene.sites[0].url]) as ada,
        scene.client("bob", urls=lambda: [scene.sites[1].url]) as bob,
        scene.client("ada-elsewhere", urls=lambda: [scene.sites[1].url]) as elsewhere,
    ):
        turns = [Turn("At the first.", "openai:words:600@30") for _ in range(2)]
        turns[1].prompt = "At the second."
        await ada.ask(turns[0])
        await bob.ask(turns[1])
        watched = Turn(turns[0].prompt, turns[0].model, generation=turns[0].generation)
        reading = [
            asyncio.create_task(ada.finish(turns[0])),
            asyncio.create_task(bob.finish(turns[1])),
            asyncio.create_task(elsewhere.finish(watched)),
        ]
        await asyncio.sleep(2)
        clocks[0].write_text(str(jump))
        await asyncio.sleep(2)
        clocks[1].write_text(str(-jump))
        await asyncio.gather(*reading)
        assert [turn.status for turn in (*turns, watched)] == ["done"] * 3
        # A process that dies is still found out by those whose clocks are wrong.
        last = Turn("Left by the first.", "openai:words:3000@30")
        await ada.ask(last)
        elsewhere_last = Turn(last.prompt, last.model, generation=last.generation)
        follow = asyncio.create_task(elsewhere.finish(elsewhere_last))
        while elsewhere_last.cursor < 10:
            await asyncio.sleep(0.05)
        scene.sites[0].kill()
        await asyncio.wait_for(follow, RECOVERY + SLACK)
        assert elsewhere_last.status == "interrupted"
        await scene.settle()


def test_d15_processes_with_other_uptimes_watch_each_other_all_the_same(postgres_server):
    database = postgres_server.create_database(f"faults_uptimes_{time.monotonic_ns()}")
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream())
        options = {"upstream": upstream, "env": LIMITS | {"DATABASE_URL": database}}
        sites = [stack.enter_context(OtherUptime(**options))]
        sites.append(stack.enter_context(UvicornSite(**options)))
        people = People(sites[0])
        stack.callback(people.close)
        scene = Scene(sites, people, database=database)
        asyncio.run(outlive(scene))
        assert scene.judge() == []


async def outlive(scene: Scene) -> None:
    async with scene.client("ada", urls=lambda: [scene.sites[0].url]) as ada:
        turn = Turn("At the older one.", "openai:words:600@30")
        await ada.ask(turn)
        async with scene.client("ada-elsewhere", urls=lambda: [scene.sites[1].url]) as elsewhere:
            await ada.ask(turn)
            await elsewhere.finish(turn)
    assert turn.status == "done"
    await scene.settle()

"""
SM: whatever people do in whatever order, and however often the site dies, one story is told.

Three people with three tabs each. The model is plain lists: what was asked, and
what each tab reads; the judge compares the rest.
"""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.clients import TRANSPORTS, Client, Turn
from tests.faults.conftest import IS_FULL
from tests.faults.history import History
from tests.faults.sites import Scene, one_process

EXAMPLES, STEPS = (100, 25) if IS_FULL else (5, 10)
PEOPLE = ["ada", "bob", "root"]
MODELS = ["openai:echo", "openai:words:30@60", "openai:words:400@80", "openai:hang-after:4"]
KILLS = 2  # In one example; each takes seconds.

people = st.sampled_from(PEOPLE)
tabs = st.integers(0, 2)
transports = st.sampled_from(TRANSPORTS)
anything = st.integers(0, 99)


class Loop:
    """An event loop in a thread: readers read on while Hypothesis thinks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine: Coroutine[Any, Any, Any], seconds: float = 60) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Tab:
    """A client, and what it reads: a task and a cursor per answer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.reading: dict[str, tuple[Turn, asyncio.Task[None]]] = {}
        self.left: dict[str, Turn] = {}

    async def attach(self, asked: Turn) -> None:
        if asked.key in self.reading:
            return
        turn = self.left.pop(asked.key, None) or Turn(
            asked.prompt, asked.model, generation=asked.generation
        )
        self.reading[asked.key] = (turn, asyncio.create_task(self.client.finish(turn)))

    async def detach(self, asked: Turn) -> None:
        if asked.key in self.reading:
            turn, task = self.reading.pop(asked.key)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.left[asked.key] = turn

    async def close(self) -> None:
        for _, task in self.reading.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self.reading.values()), return_exceptions=True)
        await self.client.http.aclose()


class People(RuleBasedStateMachine):
    scene: ClassVar[Scene]
    loop: ClassVar[Loop]

    def __init__(self) -> None:
        super().__init__()
        self.scene.history = History()
        self.scene.upstream.journal.clear()
        self.asked: dict[str, list[Turn]] = {name: [] for name in PEOPLE}
        self.stopped: list[Turn] = []
        self.kills = 0
        self.loop.call(self.open_tabs())

    async def open_tabs(self) -> None:
        self.tabs = {
            (name, number): Tab(self.scene.client(f"{name}-{number}", seed=number))
            for name in PEOPLE
            for number in range(3)
        }

    def pick(self, person: str, which: int) -> Turn | None:
        asked = self.asked[person]
        return asked[which % len(asked)] if asked else None

    @rule(person=people, tab=tabs, model=st.sampled_from(MODELS), queued=st.booleans())
    def submit(self, person: str, tab: int, model: str, queued: bool) -> None:
        last = self.asked[person][-1] if self.asked[person] and queued else None
        turn = Turn(f"{person} asks {uuid4().hex[:8]}", model)
        turn.conversation = last.conversation if last else None
        self.loop.call(self.tabs[person, tab].client.ask(turn))
        assert turn.generation, turn.refusals
        self.asked[person].append(turn)
        self.loop.call(self.tabs[person, tab].attach(turn))

    @rule(person=people, tab=tabs, which=anything)
    def attach(self, person: str, tab: int, which: int) -> None:
        if turn := self.pick(person, which):
            self.loop.call(self.tabs[person, tab].attach(turn))

    @rule(person=people, tab=tabs, which=anything)
    def detach(self, person: str, tab: int, which: int) -> None:
        if turn := self.pick(person, which):
            self.loop.call(self.tabs[person, tab].detach(turn))

    @rule(person=people, tab=tabs, which=anything, transport=transports)
    def switch(self, person: str, tab: int, which: int, transport: str) -> None:
        if turn := self.pick(person, which):
            self.loop.call(self.tabs[person, tab].detach(turn))
            self.tabs[person, tab].client.transports = [transport]
            self.loop.call(self.tabs[person, tab].attach(turn))

    @rule(person=people, tab=tabs, which=anything)
    def stop(self, person: str, tab: int, which: int) -> None:
        if turn := self.pick(person, which):
            self.loop.call(self.tabs[person, tab].client.stop(turn))
            self.stopped.append(turn)

    @precondition(lambda self: self.kills < KILLS)
    @rule()
    def kill(self) -> None:
        self.kills += 1
        self.scene.site.kill()
        self.scene.site.start()

    @rule(seconds=st.floats(0, 0.5))
    def tick(self, seconds: float) -> None:
        time.sleep(seconds)

    def teardown(self) -> None:
        try:
            self.loop.call(self.end(), 90)
        finally:
            self.loop.call(self.close_tabs())
        found = self.scene.judge()
        ours = {turn.prompt for asked in self.asked.values() for turn in asked}
        rows = [row for row in self.scene.history.rows if row.prompt in ours]
        assert found == []
        assert len(rows) == len(ours)
        ends = {row.prompt: row.status for row in rows}
        assert all(ends[turn.prompt] in ("stopped", "done", "interrupted") for turn in self.stopped)

    async def end(self) -> None:
        """End what would not end by itself; then everybody reads everything to its end."""
        for (person, number), tab in self.tabs.items():
            for turn in self.asked[person]:
                if number == 0 and "hang" in turn.model:
                    await tab.client.stop(turn)
                    self.stopped.append(turn)
        for (person, _), tab in self.tabs.items():
            for turn in self.asked[person]:
                await tab.attach(turn)
        readings = [task for tab in self.tabs.values() for _, task in tab.reading.values()]
        await asyncio.gather(*readings)
        await self.scene.settle()

    async def close_tabs(self) -> None:
        for tab in self.tabs.values():
            await tab.close()


@pytest.fixture
def machine() -> Iterator[type[People]]:
    with one_process() as scene:
        People.scene, People.loop = scene, Loop()
        yield People
        People.loop.close()


def test_sm_every_order_of_acts_tells_one_story(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # What took seconds once is not tried a hundred times.
            suppress_health_check=list(HealthCheck),
        ),
    )

"""Cycles are looked for when nobody is held up by it."""

import asyncio
import gc
import weakref

import pytest

from chat import garbage


class Node:
    """Something that holds on to itself."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def collector(monkeypatch):
    """A collector that is quick to look whether it is calm, and is afterwards as it was."""
    before = gc.get_threshold()
    monkeypatch.setattr(garbage, "LOOK_SECONDS", 0.02)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.collect()


def make_an_old_cycle():
    """Leave one that only a look at all finds, and enough to have the collector look."""
    node = Node()
    cycle = weakref.ref(node)
    gc.collect(1)  # It outlives a look at the newest.
    kept = [[] for _ in range(3 * garbage.THRESHOLDS[0])]
    del node
    return cycle, kept


async def gone(cycle, seconds=5.0):
    async with asyncio.timeout(seconds):
        while cycle() is not None:
            await asyncio.sleep(0.01)


def test_what_is_left_is_collected_when_nothing_is_written(collector):
    async def story():
        garbage.begin(lambda: False)
        cycle, kept = make_an_old_cycle()
        assert cycle() is not None
        await gone(cycle)
        assert kept

    asyncio.run(story())


def test_it_waits_while_an_answer_is_written(collector):
    busy = True

    async def story():
        nonlocal busy
        garbage.begin(lambda: busy)
        cycle, kept = make_an_old_cycle()
        with pytest.raises(TimeoutError):
            await gone(cycle, seconds=0.5)
        assert kept
        busy = False
        await gone(cycle)

    asyncio.run(story())


def test_what_was_there_before_is_left_alone(collector):
    gc.unfreeze()

    async def story():
        garbage.begin(lambda: False)

    asyncio.run(story())
    assert gc.get_freeze_count() > 1000
    assert gc.get_threshold() == garbage.THRESHOLDS

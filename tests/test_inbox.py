"""The queue in front of a connection's application."""

import asyncio

import pytest

from chat.management.inbox import Inbox


def test_messages_come_in_their_order():
    async def run():
        inbox = Inbox()
        inbox.put_nowait(1)
        inbox.put_nowait(2)
        assert inbox.qsize() == 2
        return [await inbox.get(), await inbox.get()]

    assert asyncio.run(run()) == [1, 2]


def test_taker_waits_for_the_next_message():
    async def run():
        inbox = Inbox()
        taker = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        assert not taker.done()
        inbox.put_nowait("late")
        return await asyncio.wait_for(taker, 5)

    assert asyncio.run(run()) == "late"


@pytest.mark.parametrize("is_there", [False, True])
def test_cancelled_taker_loses_no_message(is_there):
    async def run():
        inbox = Inbox()
        taker = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        if is_there:
            inbox.put_nowait("kept")
        taker.cancel()
        await asyncio.wait([taker])
        if not is_there:
            inbox.put_nowait("kept")
        return await asyncio.wait_for(inbox.get(), 5)

    assert asyncio.run(run()) == "kept"

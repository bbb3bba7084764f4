"""A bound on each of many short waits."""

import asyncio

from django.test import SimpleTestCase

from chat.patience import Patience


class PatienceTests(SimpleTestCase):
    async def test_many_waits_may_take_longer_together(self):
        async with Patience(0.2) as patience:
            for _ in range(10):
                patience.begin()
                await asyncio.sleep(0.05)
                patience.end()

    async def test_what_is_no_wait_has_no_bound(self):
        async with Patience(0.05) as patience:
            patience.begin()
            patience.end()
            await asyncio.sleep(0.3)

    async def test_one_wait_that_takes_too_long_is_a_timeout(self):
        with self.assertRaises(TimeoutError):
            async with Patience(0.05) as patience:
                await asyncio.sleep(0.07)
                patience.begin()
                await asyncio.sleep(60)

    async def test_a_cancelled_task_is_cancelled(self):
        async def wait():
            async with Patience(60) as patience:
                patience.begin()
                await asyncio.sleep(60)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task

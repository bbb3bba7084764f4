"""Processes of a site, as far as a bus can tell: each an event loop in a thread of its own."""

import asyncio
import threading
import time
from typing import Any

PATIENCE = 10.0


class Member:
    """One bus and what its subscriber of "topic" has heard."""

    def __init__(self, bus):
        self.bus = bus
        self.heard: list[Any] = []
        self.threads: set[int] = set()
        self.unsubscribe = bus.subscribe("topic", self.hear)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def hear(self, message):
        self.heard.append(message)
        self.threads.add(threading.get_ident())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def publish(self, *values, topic="topic"):
        """Publish in the loop; return what this member has heard when that returns."""

        async def publish():
            for value in values:
                await self.bus.publish(topic, value=value)
            return self.values

        return self.run(publish())

    @property
    def values(self):
        return [message["value"] for message in self.heard]

    def wait_for(self, values):
        """Wait until exactly these have been heard, and give a repeat the time to show."""
        deadline = time.monotonic() + PATIENCE
        while len(self.heard) < len(values) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert self.values == values

    def wait_until_heard(self, other, *, patience=20.0):
        """Publish until another hears it: what is published while it is away may be lost."""
        deadline = time.monotonic() + patience
        probe = f"from {id(self)}"
        while probe not in other.values:
            assert time.monotonic() < deadline, "The bus has not come back."
            self.publish(probe)
            time.sleep(0.2)

    def __enter__(self):
        self.thread.start()
        self.run(self.bus.start())
        return self

    def __exit__(self, *exc):
        self.run(self.bus.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

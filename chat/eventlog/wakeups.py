"""Tell other processes that logs have grown, and hear it from them."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from chat.background import spawn
from chat.bus import bus

# A process sends no more often, however many it writes.
INTERVAL_SECONDS = 0.1
TOPIC = "events"


class WakeUps:
    """
    Wake-ups for readers elsewhere: ids of logs, many in one message.

    They may be lost; whoever hears none still looks after a while.
    """

    def __init__(self, on_news: Callable[[set[UUID]], None]) -> None:
        self._on_news = on_news
        self._grown: set[UUID] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_at = 0.0
        self._unsubscribe = bus().subscribe(TOPIC, self._hear)

    def close(self) -> None:
        """Hear no more."""
        self._unsubscribe()

    def tell(self, generation_id: UUID) -> None:
        """Say that a log has grown: at once after a pause, else with others that have."""
        if not bus().reaches_processes:
            return
        self._grown.add(generation_id)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._next_at, self._send)

    def _send(self) -> None:
        self._timer = None
        self._next_at = asyncio.get_running_loop().time() + INTERVAL_SECONDS
        grown, self._grown = self._grown, set()
        spawn(bus().publish(TOPIC, generations=[str(pk) for pk in grown]))

    def _hear(self, message: dict[str, Any]) -> None:
        self._on_news({UUID(pk) for pk in message["generations"]})

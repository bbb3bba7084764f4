"""What the buses between processes share: encoding, one sender, one listener, and their return."""

import asyncio
import json
import logging
import random
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import uuid4

from django.utils.crypto import salted_hmac

from chat.background import spawn
from chat.bus.base import BaseBus, Message

logger = logging.getLogger(__name__)

MAX_BYTES = 7900  # PostgreSQL takes less than 8000 in one notification.
ENVELOPE_BYTES = 100
WAITING = 1000  # Messages kept while the transport is away; the oldest go first.
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 5.0
READY_SECONDS = 5.0
SEND_SECONDS = 2.0
START_SECONDS = 2.0
CLOSE_SECONDS = 1.0
QUIET_SECONDS = 5.0  # After so long without a message a listener asks whether it still hears.


class RemoteBus(BaseBus):
    """
    A bus that sends from one task and listens in another, each beginning again by itself.

    A message goes at once if none went within ``period_seconds``; those that
    come sooner wait for each other and go together.
    """

    reaches_processes = True
    period_seconds = 0.0

    def __init__(self) -> None:
        super().__init__()
        # Not heard by other sites on the same server: Redis tells all of its
        # databases, and numbers of users are the same everywhere.
        name = salted_hmac("chat.bus", "channel", algorithm="sha256").hexdigest()
        self._channel = f"chat_{name[:24]}"
        self._begin()

    def _begin(self) -> None:
        self._origin = uuid4().hex  # A new one: a forked process is not its parent.
        self._outbox: deque[str] = deque(maxlen=WAITING)
        self._posted = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_heard = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: dict[str, int] = {}
        self._shunned_until = 0.0

    # The transport ----------------------------------------------------------

    @abstractmethod
    async def _listen(self) -> None:
        """Call works("listen") once subscribed, then hear() with every payload, until it fails."""

    @abstractmethod
    async def _get_ready(self) -> None:
        """Make sure that there is a connection to send by, or raise."""

    @abstractmethod
    async def _transmit(self, payloads: list[str]) -> None:
        """Send, all in one go."""

    @abstractmethod
    def _transmit_now(self, payloads: list[str]) -> None:
        """Send without an event loop, by a connection of its own, in bounded time."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Close whatever connections there are."""

    # Sending ----------------------------------------------------------------

    async def start(self) -> None:
        """See BaseBus. Return when it listens, or soon if the transport is away."""
        if self._is_started:
            return
        self._begin()
        await super().start()
        self._tasks = [
            spawn(self._keep("listen", self._listen)),
            spawn(self._keep("send", self._send)),
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._is_heard.wait()

    async def close(self) -> None:
        if not self._is_started:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._idle.wait()
        await super().close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._disconnect()

    def _forward(self, topic: str, message: Message) -> None:
        self._outbox.extend(_encode(topic, message))
        self._posted.set()
        self._idle.clear()

    def _forward_now(self, topic: str, message: Message) -> None:
        if monotonic() < self._shunned_until:
            return  # Or a loop over a thousand rows would wait a thousand times.
        try:
            self._transmit_now(list(self._pack(_encode(topic, message))))
        except Exception as exc:
            self._shunned_until = monotonic() + LONGEST_WAIT_SECONDS
            self._fails("now", exc)
        else:
            self._works("now")

    async def _send(self) -> None:
        while True:
            await self._posted.wait()
            async with asyncio.timeout(READY_SECONDS):
                await self._get_ready()
            started = monotonic()
            # Taken only now that they can go, and never put back: those that
            # are lost half-way may have arrived.
            payloads = list(self._pack(self._outbox))
            self._outbox.clear()
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await self._transmit(payloads)
            finally:
                if not self._outbox:
                    self._posted.clear()
                    self._idle.set()
            self._works("send")
            await asyncio.sleep(self.period_seconds - (monotonic() - started))

    def _pack(self, texts: Iterable[str]) -> Iterator[str]:
        """Join encoded messages to as few payloads as their limit allows."""
        head, size, group = f'{{"from":"{self._origin}","messages":[', 0, list[str]()
        for text in texts:
            if group and size + len(text) + 1 > MAX_BYTES - ENVELOPE_BYTES:
                yield f"{head}{','.join(group)}]}}"
                size, group = 0, []
            group.append(text)
            size += len(text) + 1
        if group:
            yield f"{head}{','.join(group)}]}}"

    # Listening --------------------------------------------------------------

    def _hear(self, payload: str | bytes) -> None:
        """Tell the subscribers of this process, unless it comes from here."""
        try:
            content = json.loads(payload)
            if content["from"] == self._origin:
                return
            messages = [(str(topic), dict(message)) for topic, message in content["messages"]]
        except (ValueError, TypeError, KeyError):
            logger.warning("The bus brought something that is not a message")
            return
        for topic, message in messages:
            self._tell(topic, message)

    # Outages ----------------------------------------------------------------

    async def _keep(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do it for ever: again when it fails, after a while that grows."""
        while True:
            try:
                await work()
            except Exception as exc:
                self._fails(what, exc)
            longest = FIRST_WAIT_SECONDS * 2 ** min(self._failures.get(what, 0), 10)
            # Not all processes of a site in the same moment.
            await asyncio.sleep(min(longest, LONGEST_WAIT_SECONDS) * random.uniform(0.5, 1))  # noqa: S311

    def _fails(self, what: str, exc: Exception) -> None:
        if not self._failures:  # Once per outage.
            reason = " ".join(str(exc).split()) or type(exc).__name__
            logger.warning("Other processes are not told, or not heard, for now: %s", reason)
        self._failures[what] = self._failures.get(what, 0) + 1

    def _works(self, what: str) -> None:
        if what == "listen":
            self._is_heard.set()
        if self._failures.pop(what, None) and not self._failures:
            logger.info("Other processes are told and heard again")


def _encode(topic: str, message: Message) -> list[str]:
    """
    Return a message as texts that each fit into a payload.

    One that is too long is divided along its longest list, as if it had been
    published in parts; without a list it is dropped, and that is logged.
    """
    text = json.dumps([topic, message], separators=(",", ":"))  # ASCII, so its length is in bytes.
    if len(text) <= MAX_BYTES - ENVELOPE_BYTES:
        return [text]
    lists: dict[str, list[Any]] = {
        name: value for name, value in message.items() if isinstance(value, list) and len(value) > 1
    }
    if not lists:
        logger.error("A message of %r has %d bytes and was dropped", topic, len(text))
        return []
    name = max(lists, key=lambda name: len(lists[name]))
    half = len(lists[name]) // 2
    parts = (lists[name][:half], lists[name][half:])
    return [text for part in parts for text in _encode(topic, message | {name: part})]

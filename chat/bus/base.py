"""The contract of every bus."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

logger = logging.getLogger(__name__)

Message = dict[str, Any]
Handler = Callable[[Message], None]


class BaseBus(ABC):
    """
    Wake-ups and news for whoever listens, in this process and maybe in others.

    At most once, and never data: a message may be lost with its transport, so
    whatever must not be missed is saved first and looked up after a while
    without news. Messages are small dicts of JSON; ids in them are text.
    """

    # Do other processes hear what is published?
    reaches_processes = False

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}
        self._home: asyncio.AbstractEventLoop | None = None

    def subscribe(self, topic: str, handler: Handler) -> Callable[[], None]:
        """
        Call a handler with every message of a topic, until the returned function is called.

        It is called in the event loop that called start(), so it must not wait.
        Before start(), in the publisher's loop, or thread if that has no loop.
        """
        handlers = self._handlers.setdefault(topic, [])
        handlers.append(handler)

        def unsubscribe() -> None:
            with suppress(ValueError):  # Done twice.
                handlers.remove(handler)

        return unsubscribe

    async def publish(self, topic: str, **message: Any) -> None:
        """
        Tell the subscribers of this process at once, and others as soon as possible.

        Does not wait for the transport, and does not raise when that is away.
        """
        plain = _plain(message)
        if not self._hand_over(topic, plain) and self.reaches_processes:
            await asyncio.to_thread(self._forward_now, topic, plain)

    def publish_soon(self, topic: str, **message: Any) -> None:
        """
        See publish(). From any thread, with or without an event loop.

        In a process that has not started its bus, such as a management command,
        return when the message is sent, or after a bounded time.
        """
        plain = _plain(message)
        if not self._hand_over(topic, plain):
            self._forward_now(topic, plain)

    async def start(self) -> None:
        """Begin to listen, in this event loop. Idempotent."""
        self._home = asyncio.get_running_loop()

    async def close(self) -> None:
        """Send what waits, and listen no more. Idempotent; start() begins again."""
        self._home = None

    @abstractmethod
    def _forward(self, topic: str, message: Message) -> None:
        """Pass on to other processes. Called in the loop that start() was called in."""

    @abstractmethod
    def _forward_now(self, topic: str, message: Message) -> None:
        """Pass on to other processes from one that has not started its bus. May block, a while."""

    @property
    def _is_started(self) -> bool:
        return self._home is not None and not self._home.is_closed()

    def _hand_over(self, topic: str, message: Message) -> bool:
        """Return False, after telling this process, if there is no loop that passes it on."""
        home = self._home
        if home is None or home.is_closed():
            self._tell(topic, message)
            return False
        if home is _current_loop():
            self._deliver(topic, message)
        else:
            with suppress(RuntimeError):  # It has been closed just now: nobody is left to tell.
                home.call_soon_threadsafe(self._deliver, topic, message)
        return True

    def _deliver(self, topic: str, message: Message) -> None:
        self._tell(topic, message)
        self._forward(topic, message)

    def _tell(self, topic: str, message: Message) -> None:
        for handler in list(self._handlers.get(topic, ())):
            try:
                handler(message)
            except Exception:
                logger.exception("A subscriber of %r failed", topic)


def _plain(message: Message) -> Message:
    """Return the message as other processes will see it, so that no subscriber sees another."""
    plain: Message = json.loads(json.dumps(message, default=str))
    return plain


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None

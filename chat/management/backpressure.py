"""What Daphne lacks: a sender that waits for its reader, and sends without waiting otherwise."""

import asyncio
from typing import Any

from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from chat.conf import chat_settings
from chat.management.limits import GRACE_SECONDS, untaken


@implementer(IPushProducer)
class Valve:
    """
    Shut while a connection's send buffer is full.

    Twisted tells whoever is registered as a transport's producer when its
    buffer fills and empties; nothing waits for the one Daphne leaves there.
    A reader that takes no byte for ``SLOW_READER_SECONDS`` is cut off.
    """

    __slots__ = ("_opened", "_protocol", "_tcp", "_watch")

    def __init__(self, protocol: Any) -> None:
        self._opened: asyncio.Future[None] | None = None  # While it is shut.
        self._protocol = protocol
        self._watch: Any = None
        self._tcp = _tcp_of(protocol)
        if isinstance(protocol, WebSocketProtocol):
            # The HTTP channel, which stays registered after the upgrade.
            protocol.transport.unregisterProducer()
            protocol.transport.registerProducer(self, True)
            write_at_once(protocol.transport)
        else:
            protocol.registerProducer(self, True)

    @property
    def is_shut(self) -> bool:
        return self._opened is not None

    async def opened(self) -> None:
        """Return when the reader has caught up, or is gone."""
        if self._opened is not None:
            await asyncio.shield(self._opened)  # Others wait for it too.

    def remove(self) -> None:
        """Let go of the connection, and of whoever waits."""
        self.resumeProducing()
        if isinstance(self._protocol, WebSocketProtocol):
            self._protocol.transport.unregisterProducer()
        elif getattr(self._protocol, "channel", None):  # Gone when the response has ended.
            self._protocol.unregisterProducer()

    def pauseProducing(self) -> None:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        if self._watch is None:
            self._look_later()

    def resumeProducing(self) -> None:
        if self._opened is not None:
            self._opened.set_result(None)
            self._opened = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def stopProducing(self) -> None:
        self.resumeProducing()

    def _look_later(self) -> None:
        seconds = chat_settings().slow_reader_seconds + GRACE_SECONDS
        self._watch = reactor.callLater(seconds, self._look, _unsent(self._tcp))

    def _look(self, before: int) -> None:
        self._watch = None
        if _unsent(self._tcp) < before:
            self._look_later()
        else:
            self._tcp.abortConnection()


def _tcp_of(protocol: Any) -> Any:
    is_socket = isinstance(protocol, WebSocketProtocol)
    return protocol.transport if is_socket else protocol.channel.transport


def _unsent(tcp: Any) -> int:
    """Return how many bytes wait for the reader, here and in the kernel."""
    return int(tcp._tempDataLen + len(tcp.dataBuffer) - tcp.offset) + untaken(tcp)


def write_at_once(transport: Any) -> None:
    """
    Let a TCP transport send when it is written to.

    Twisted's own sends one turn of the event loop later, and asks the selector
    to tell when: for the small frames of a stream that costs more than all the
    rest of sending. What the kernel does not take goes the usual way.
    """
    later = transport.startWriting
    lose = transport.loseConnection

    def now() -> None:
        failed = transport.doWrite() is not None
        if failed or transport._tempDataLen or len(transport.dataBuffer) > transport.offset:
            later()

    def lose_later() -> None:
        lose()
        if transport.connected:
            later()  # It is the next turn that closes, once all is sent.

    transport.startWriting = now
    transport.loseConnection = lose_later

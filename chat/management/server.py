"""
Daphne, fit for long streams.

Import this module before anything that imports Twisted's reactor: Daphne
installs the asyncio one.
"""

# First: it installs the reactor that the lines below import.
from daphne.server import Server, twisted_loop  # isort: skip

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from autobahn.exception import Disconnected
from daphne.endpoints import build_endpoint_description_strings
from daphne.http_protocol import WebRequest
from twisted.internet import defer, reactor

from chat import drain
from chat.bodies import PATIENCE, PATIENCE_SECONDS, longest_body
from chat.conf import MAX_BODY_BYTES, MAX_FRAME_BYTES
from chat.lifecycle import end_runs, send_readers_away
from chat.management.backpressure import Valve
from chat.management.daphne_socket import ChatSocket
from chat.management.inbox import Inbox
from chat.management.limits import BODY_SECONDS, HEAD_SECONDS, give_up_the_vanished

__all__ = ["ChatServer", "twisted_loop"]

WEBSOCKET_LIFETIME_SECONDS = 3600
GRACE_SECONDS = 2  # For requests, other than readers, that are being answered at the end.
CLOSE_SECONDS = 2  # For the rest, once they are cut off.
TOO_LONG = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedRequest(WebRequest):  # type: ignore[misc]
    """
    A request whose body has a bound, and whose defect ends it alone.

    Of a body past the bound nothing is kept. It is read on for a while all the
    same: a client that is still sending would not see the answer.
    """

    received = 0
    refused = False
    limit = MAX_BODY_BYTES

    def gotLength(self, length: int | None) -> None:
        super().gotLength(length)
        # Twisted tells the request its own path only when the body is there.
        path = getattr(self.channel, "_path", b"").partition(b"?")[0].decode("latin-1")
        self.limit = longest_body(path, self.getHeader(b"content-type") or b"")
        self.refused = (length or 0) > self.limit
        self.channel.setTimeout(PATIENCE_SECONDS if self.refused else BODY_SECONDS)
        if self.refused:
            self.requestHeaders.removeHeader(b"expect")  # Else Twisted would ask for the body now.
            self.channel.transport.write(TOO_LONG)
        if (length or 0) > PATIENCE * MAX_BODY_BYTES:
            self.channel.loseConnection()

    def handleContentChunk(self, data: bytes) -> None:
        self.received += len(data)
        if self.received <= self.limit and not self.refused:
            super().handleContentChunk(data)
        elif self.received > PATIENCE * MAX_BODY_BYTES:
            self.channel.transport.abortConnection()

    def process(self) -> Any:
        if self.refused:
            return self.channel.loseConnection()
        if self.received > self.limit:
            return self.basic_error(413, b"Content Too Large", "The request is too long.")
        # Daphne lets a client say where the site is mounted, and reads a
        # request of HTTP/1.0, which has no upgrades, as one of HTTP/1.1.
        self.requestHeaders.removeHeader(b"daphne-root-path")
        if self.clientproto != b"HTTP/1.1":
            self.requestHeaders.removeHeader(b"upgrade")
        return super().process()

    def handle_reply(self, message: Any) -> None:
        if self.method == b"HEAD" and message["type"] == "http.response.body":
            message = {**message, "body": b""}  # Twisted drops the first part only.
        super().handle_reply(message)

    def handle_exception(self, exception: BaseException) -> None:
        # Daphne would try to start a second response, and the error of that
        # would end its clean-up of all connections.
        if not self._response_started:
            super().handle_exception(exception)
        elif channel := getattr(self, "channel", None):  # Gone when the response has ended.
            channel.transport.abortConnection()

    def break_off(self) -> None:
        """Close the connection, once all is sent, if the answer has begun and not ended."""
        channel = getattr(self, "channel", None)
        if channel and self._response_started and not self.finished:
            channel.loseConnection()


class ChatServer(Server):  # type: ignore[misc]
    """
    Serve HTTP and WebSocket on one port, until SIGINT or SIGTERM.

    Over Daphne's own server: a sender waits for a slow reader, a body has a
    bound, and a defect in a streaming answer costs that connection only.
    ``on_ready`` gets the port. A signal drains first; a second one does not wait.
    """

    def __init__(
        self,
        application: Any,
        *,
        host: str,
        port: int,
        on_ready: Callable[[int], None],
    ) -> None:
        super().__init__(
            application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            websocket_timeout=WEBSOCKET_LIFETIME_SECONDS,
            websocket_connect_timeout=20,
            ping_interval=20,
            ping_timeout=20,
            websocket_max_message_size=MAX_FRAME_BYTES,
            websocket_max_frame_size=MAX_FRAME_BYTES,
            application_close_timeout=10,
            ready_callable=self._configure,
            server_name="",
            signal_handlers=False,  # Twisted's make an error of a second signal.
            verbosity=2,  # Below it, Twisted's errors go nowhere.
        )
        self.on_ready = on_ready
        self.failure: str | None = None
        self.valves: dict[Any, Valve] = {}
        self.ports: list[Any] = []

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            twisted_loop.add_signal_handler(number, self._on_signal)
        super().run()

    def _on_signal(self) -> None:
        if drain.signalled():
            self.stop()

    def _configure(self) -> None:
        # A client that breaks the protocol gets a close code, not a broken connection.
        self.ws_factory.setProtocolOptions(failByDrop=False, versions=[13])
        self.ws_factory.protocol = ChatSocket
        self.http_factory.timeOut = HEAD_SECONDS
        build = self.http_factory.buildProtocol

        def build_bounded(addr: Any) -> Any:
            protocol = build(addr)
            protocol.requestFactory = BoundedRequest
            # Twisted starts to wait anew with every byte: one a minute would keep it waiting.
            protocol._channel.resetTimeout = lambda: None
            return protocol

        self.http_factory.buildProtocol = build_bounded

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self.ports.append(port)
        give_up_the_vanished(port.socket)
        # Not yet: until the reactor runs, a signal would not end it in order.
        reactor.callWhenRunning(self.on_ready, port.getHost().port)

    def listen_error(self, failure: Any) -> None:
        self.failure = failure.getErrorMessage()
        self.stop()

    def create_application(self, protocol: Any, scope: Any) -> Inbox:
        """As Daphne's own, with a lean queue."""
        inbox = Inbox()
        scope.setdefault("asgi", {"version": "3.0"})
        application = self.application(
            scope=scope, receive=inbox.get, send=partial(self.handle_reply, protocol)
        )
        task = asyncio.ensure_future(application)
        self.connections[protocol]["application_instance"] = task
        if isinstance(protocol, BoundedRequest):
            # Daphne leaves a connection open for ever whose answer is not ended.
            task.add_done_callback(lambda _: protocol.break_off())
        return inbox

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Pass a message on, and return when the connection can take another."""
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if ends:  # Twisted wants no producer left when a response ends.
            self._forget(protocol)
        with suppress(Disconnected):  # Its disconnect is on its way to the application.
            await super().handle_reply(protocol, message)
        details = self.connections.get(protocol)
        if ends or details is None or details.get("disconnected"):
            return
        valve = self.valves.get(protocol)
        if valve is None and message["type"] in ("http.response.start", "websocket.accept"):
            valve = self.valves[protocol] = Valve(protocol)
        if valve is not None and valve.is_shut:
            await valve.opened()

    def protocol_disconnected(self, protocol: Any) -> None:
        self._forget(protocol)
        super().protocol_disconnected(protocol)

    def _forget(self, protocol: Any) -> None:
        if valve := self.valves.pop(protocol, None):
            valve.remove()

    def kill_all_applications(self) -> Any:
        """Send readers away, let running answers end, then cut off whoever is left."""
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._wind_up()))

    async def _wind_up(self) -> None:
        await send_readers_away()
        for port in self.ports:
            port.stopListening()  # What comes now finds the next process, or none.
        if requests := self._unfinished():
            await asyncio.wait(requests, timeout=drain.time_left(GRACE_SECONDS + drain.jitter()))
        await end_runs()
        left = self._unfinished()
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=CLOSE_SECONDS)

    def _unfinished(self) -> list[Any]:
        return [
            task
            for details in self.connections.values()
            if (task := details.get("application_instance")) and not task.done()
        ]

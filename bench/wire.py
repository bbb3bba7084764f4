"""
The receiving ends of the load client: WebSocket and HTTP streams, parsed by hand.

A client library would cost more per frame than some of the servers do, and be
counted as their latency. Only what those servers send is understood; anything
else fails loudly.
"""

import asyncio
import base64
import os
from collections.abc import Callable

from bench import stamps

MASK = b"\0\0\0\0"  # A client must mask; by zeros it costs nothing.
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Refused(Exception):
    """Raised when a server did not answer as its protocol promises."""


class Connection(asyncio.Protocol):
    """
    One connection. Each message goes to ``on_message`` with the time of its arrival.

    ``closed`` is resolved when the connection ends, with an exception if it should not have.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.wire_bytes = 0
        self.on_message: Callable[[bytes, int], None] = lambda message, at: None
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(exc or Refused("closed before it opened"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        at = stamps.now()
        self.wire_bytes += len(data)
        self.buffer = self.buffer + data if self.buffer else data
        try:
            self.parse(at)
        except Refused as exc:
            self.fail(exc)

    def parse(self, at: int) -> None:
        """Take every complete message off the buffer."""
        raise NotImplementedError

    def fail(self, exc: Exception) -> None:
        for future in (self.opened, self.closed):
            if not future.done():
                future.set_exception(exc)
                future.exception()  # Whoever awaits it still sees it; nobody has to.
        self.transport.abort()

    def take_head(self) -> str | None:
        """Take an HTTP response's head off the buffer, if it is complete."""
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return None
        self.buffer = rest
        return head.decode("latin-1")


def request_head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class WebSocket(Connection):
    """A client's end of a WebSocket. ``opened`` is resolved by the handshake."""

    def open(self, path: str, headers: dict[str, str]) -> None:
        self.shaken = False
        key = base64.b64encode(os.urandom(16)).decode()
        headers = headers | {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        self.transport.write(request_head("GET", path, headers))

    def send(self, data: bytes, opcode: int = TEXT) -> None:
        size = len(data)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        else:
            head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
        self.transport.write(head + MASK + data)

    def parse(self, at: int) -> None:
        if not self.shaken:
            head = self.take_head()
            if head is None:
                return
            if " 101 " not in head.partition("\r\n")[0]:
                raise Refused(f"handshake: {head.splitlines()[0]}")
            self.shaken = True
            self.opened.set_result(None)
        data, start, available = self.buffer, 0, len(self.buffer)
        while available - start >= 2:
            size, body = data[start + 1], start + 2
            if size == 126:
                size, body = int.from_bytes(data[start + 2 : start + 4], "big"), start + 4
            elif size == 127:
                size, body = int.from_bytes(data[start + 2 : start + 10], "big"), start + 10
            if body + size > available:
                break
            self.frame(data[start], data[body : body + size], at)
            start = body + size
        self.buffer = data[start:]

    def frame(self, first: int, payload: bytes, at: int) -> None:
        if first == 0x80 | TEXT:
            self.on_message(payload, at)
        elif first == 0x80 | PING:
            self.send(payload, PONG)
        elif first == 0x80 | CLOSE:
            raise Refused(f"closed: {int.from_bytes(payload[:2], 'big')} {payload[2:].decode()}")
        elif first != 0x80 | PONG:
            raise Refused(f"a frame that starts with {first:#x}")


class HttpStream(Connection):
    """
    A client's end of HTTP with chunked bodies. Each event block is a message.

    ``on_end`` is called when a response is complete, with its body if that had a length.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_end: Callable[[bytes], None] = lambda body: None
        self.head: str | None = None
        self.text = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.opened.set_result(None)

    def ask(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))} | headers
        self.transport.write(request_head("POST", path, headers) + body)

    def parse(self, at: int) -> None:
        if self.head is None:
            self.head = self.take_head()
            if self.head is None:
                return
            status = self.head.partition("\r\n")[0]
            if status.split(" ")[1] not in ("200", "201"):
                raise Refused(f"{status} {self.buffer[:200].decode(errors='replace')}")
            self.chunked = "transfer-encoding: chunked" in self.head.lower()
        if self.chunked:
            self.parse_chunks(at)
        else:
            self.parse_length()

    def parse_length(self) -> None:
        assert self.head is not None
        fields = [line.partition(":") for line in self.head.split("\r\n")[1:]]
        length = next(int(v) for name, _, v in fields if name.lower() == "content-length")
        if len(self.buffer) >= length:
            body, self.buffer, self.head = self.buffer[:length], self.buffer[length:], None
            self.on_end(body)

    def parse_chunks(self, at: int) -> None:
        data, start = self.buffer, 0
        while (line := data.find(b"\r\n", start)) >= 0:
            size = int(data[start:line], 16)
            if line + 2 + size + 2 > len(data):
                break
            self.text += data[line + 2 : line + 2 + size]
            start = line + 2 + size + 2
            if size == 0:
                self.head = None
                break
        self.buffer = data[start:]
        self.take_blocks(at)
        if self.head is None:
            self.on_end(b"")

    def take_blocks(self, at: int) -> None:
        # A block may end in another chunk, or in none at all for a while.
        blocks, blank, self.text = self.text.rpartition(b"\n\n")
        if blank:
            self.on_message(blocks + blank, at)

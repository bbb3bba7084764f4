"""Bytes as no client library sends them."""

import base64
import os
import socket
import struct
from contextlib import suppress
from typing import Self

from tests.guarantees.clients import Person
from tests.servers import Site

CRLF = b"\r\n"


def open_raw(site: Site, *, source: str = "127.0.0.1", rcvbuf: int | None = None) -> socket.socket:
    connection = socket.socket()
    if rcvbuf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    connection.settimeout(20)
    connection.bind((source, 0))
    connection.connect(("127.0.0.1", site.port))
    return connection


def read_all(connection: socket.socket, *, limit: int = 1 << 20) -> bytes:
    """Return what comes until the other side closes, or breaks."""
    data = b""
    with suppress(ConnectionError):
        while len(data) < limit and (part := connection.recv(65536)):
            data += part
    return data


def exchange(site: Site, request: bytes, **options: str) -> bytes:
    """Send bytes and return all that is answered until the connection ends."""
    with open_raw(site, **options) as connection:
        with suppress(ConnectionError):
            connection.sendall(request)
        return read_all(connection)


def head(line: str, *headers: str) -> bytes:
    lines = [line, "Host: 127.0.0.1", *headers]
    return "\r\n".join(lines).encode("latin-1") + CRLF * 2


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1."), answer[:200]
    return int(answer.split(b" ", 2)[1])


def handshake(person: Person, **changed: str | None) -> bytes:
    """Return a valid upgrade request, but for the headers that are given by name."""
    headers: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Authorization": f"Bearer {person.key}",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return head("GET /ws/chat/ HTTP/1.1", *lines)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Return one frame; ``length`` is what it says of itself, whatever it holds."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask = 0x80 if masked else 0
    if size < 126:
        data = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        data = struct.pack("!BBH", first, mask | 126, size)
    else:
        data = struct.pack("!BBQ", first, mask | 127, size)
    return data + (b"\0\0\0\0" if masked else b"") + payload


class RawSocket:
    """A WebSocket of which the test writes each byte."""

    def __init__(self, person: Person, *, rcvbuf: int | None = None) -> None:
        self.connection = open_raw(person.site, rcvbuf=rcvbuf)
        self.connection.sendall(handshake(person))
        answer = b""
        while CRLF * 2 not in answer:
            answer += self._receive()
        assert status_of(answer) == 101, answer
        self._data = answer.partition(CRLF * 2)[2]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.connection.close()

    def _receive(self) -> bytes:
        data = self.connection.recv(65536)
        if not data:
            raise ConnectionResetError
        return data

    def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.connection.sendall(data)

    def next(self) -> tuple[int, bytes]:
        """Return the opcode and payload of the next frame. Raise ConnectionResetError at an end."""
        self._need(2)
        first, size = self._data[0], self._data[1]
        start = 2
        if size == 126:
            self._need(4)
            size, start = struct.unpack("!H", self._data[2:4])[0], 4
        elif size == 127:
            self._need(10)
            size, start = struct.unpack("!Q", self._data[2:10])[0], 10
        self._need(start + size)
        payload, self._data = self._data[start : start + size], self._data[start + size :]
        return first & 15, payload

    def _need(self, size: int) -> None:
        while len(self._data) < size:
            self._data += self._receive()

    def wait(self, opcode: int, part: bytes = b"") -> bytes:
        """Return the payload of the next frame of that kind with that in it."""
        while True:
            kind, payload = self.next()
            if kind == opcode and part in payload:
                return payload

    def close_code(self) -> int | None:
        """Return the code the server closes with; None if it only breaks the connection."""
        try:
            payload = self.wait(8)
        except ConnectionError:
            return None
        return int(struct.unpack("!H", payload[:2])[0]) if payload else 1005

"""Hundreds of readers at once, each no more than a connection and the bytes it has read."""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

from tests.guarantees.clients import API, Person
from tests.guarantees.raw import frame, handshake, head

TEXT = 1


class Member:
    """One reader. ``data`` is what came after the response's head."""

    def __init__(self, person: Person, *, port: int | None = None) -> None:
        self.person = person
        self.port = port or person.site.port
        self.status = 0
        self.data = b""
        self.times: list[float] = []

    async def connect(self, request: bytes) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        self.status = int(answer.split(b" ", 2)[1])

    async def open_socket(self, generation: str | None = None) -> None:
        """Open a WebSocket, and follow the generation."""
        await self.connect(handshake(self.person))
        if generation and self.status == 101:
            self.send(f'{{"type":"follow","generation":"{generation}","after":0}}')

    async def open_stream(self, generation: str, *, after: int = 0) -> None:
        """Open an event stream. HTTP/1.0 leaves the body as it is, in no chunks."""
        request = head(
            f"GET {API}/generations/{generation}/events/?after={after} HTTP/1.0",
            "Accept: text/event-stream",
            f"Authorization: Bearer {self.person.key}",
        )
        await self.connect(request)

    def send(self, text: str) -> None:
        self.writer.write(frame(TEXT, text.encode()))

    async def read(self) -> bytes:
        """Read to the end, or until it is broken off."""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                self.data += data
                self.times.append(loop.time())
        return self.data

    async def read_until(self, part: bytes) -> bytes:
        while part not in self.data:
            data = await self.reader.read(65536)
            if not data:
                break
            self.data += data
        return self.data

    def leave(self, *, broken: bool = False) -> None:
        if broken:
            tcp = self.writer.get_extra_info("socket")
            with suppress(OSError):  # It has left already.
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.writer.transport.abort()
        else:
            self.writer.close()


class Crowd:
    """Readers of one person; all have left, abruptly, when the block ends."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.members: list[Member] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.disperse()

    async def disperse(self) -> None:
        for member in self.members:
            if hasattr(member, "writer"):
                member.leave(broken=True)
        self.members.clear()
        await asyncio.sleep(0.1)

    def come(self) -> Member:
        self.members.append(Member(self.person))
        return self.members[-1]

    async def sockets(self, number: int, generation: str) -> list[Member]:
        """Let so many more open a socket, and wait until each has been greeted."""
        members = [self.come() for _ in range(number)]
        await in_batches([member.open_socket(generation) for member in members])
        await in_batches([member.read_until(b'"hello"') for member in members])
        return members

    async def streams(self, number: int, generation: str) -> list[Member]:
        """Let so many more open an event stream, and wait until each has an event."""
        members = [self.come() for _ in range(number)]
        await in_batches([member.open_stream(generation) for member in members])
        await in_batches([member.read_until(b"event: started") for member in members])
        return members


async def in_batches(coroutines: list[Coroutine[Any, Any, Any]], size: int = 50) -> None:
    """Run them a few at a time: a listen queue is finite."""
    for start in range(0, len(coroutines), size):
        await asyncio.gather(*coroutines[start : start + size])

"""What is the same for every dialect: an answer as it arrives, and the connection it comes by."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

from bench import stamps
from bench.wire import Connection, Refused


@dataclass(slots=True)
class Answer:
    """One answer as one reader got it. Times are microseconds."""

    expected: int
    asked_at: int = 0
    first_after: int = 0
    first_age: int = 0
    ages: list[int] = field(default_factory=list)
    stamps: list[bytes] = field(default_factory=list)
    wire_bytes: int = 0
    is_late: bool = False  # It had not ended when its time was over.

    def receive(self, message: bytes, at: int) -> int:
        """Count the tokens of a message and return how many there are."""
        found = stamps.find_stamps(message)
        if found:
            if not self.ages:
                self.first_after = stamps.age(self.asked_at, at)
                self.first_age = stamps.age(int(found[0]), at)
            self.ages += [stamps.age(int(stamp), at) for stamp in found]
            self.stamps += found
        return len(found)

    def check(self) -> None:
        """Raise Refused unless every token came, once and in order."""
        if len(self.stamps) != self.expected:
            raise Refused(f"{len(self.stamps)} tokens of {self.expected}")
        if sorted(self.stamps) != self.stamps:
            raise Refused("tokens out of order")

    def check_text(self, length: int, sha256: str) -> None:
        """Raise Refused unless the text is the one that the server says it sent."""
        text = b"".join([b" " + stamp for stamp in self.stamps])
        if len(text) != length or hashlib.sha256(text).hexdigest() != sha256:
            raise Refused("the text does not match its length and hash")


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test, and who asks it."""

    port: int
    key: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


class Reader:
    """One connection to a server. Subclasses know one dialect."""

    connection: Connection

    def __init__(self, target: Target) -> None:
        self.target = target
        self.result = Answer(expected=0)
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, connection: Connection) -> None:
        self.connection = connection
        connection.on_message = self.message
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, "127.0.0.1", self.target.port)

    async def answer(self, prompt: str, expected: int) -> Answer:
        """Ask, and return the complete answer. Raise Refused if it is not."""
        self.start(expected)
        await self.ask(prompt)
        return await self.finish()

    def start(self, expected: int) -> None:
        self.result = Answer(expected, asked_at=stamps.now())
        self.complete = asyncio.get_running_loop().create_future()

    async def finish(self) -> Answer:
        """Wait until the answer that is under way has ended, and return it."""
        await self.first_of(self.complete, "the connection ended before the answer")
        self.result.wire_bytes = self.connection.wire_bytes
        self.result.check()
        return self.result

    async def first_of(self, future: "asyncio.Future[Any]", otherwise: str) -> None:
        """Wait for something the server owes. Raise Refused if the connection ends before."""
        closed = self.connection.closed
        await asyncio.wait([future, closed], return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            closed.result()
            raise Refused(otherwise)
        future.result()

    def end(self) -> None:
        if not self.complete.done():
            self.complete.set_result(None)

    def refuse(self, reason: str) -> None:
        if not self.complete.done():
            self.complete.set_exception(Refused(reason))

    async def connect(self) -> None:
        raise NotImplementedError

    async def ask(self, prompt: str) -> None:
        raise NotImplementedError

    def message(self, message: bytes, at: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.connection.transport.close()

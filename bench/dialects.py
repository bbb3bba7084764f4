"""
How each server is asked, and how it says that an answer is complete.

A dialect connects, asks and hands every message to its ``Answer``; it returns
once the server has said that the answer is complete.
"""

import asyncio
import json
import uuid
from typing import Any

from bench.reader import Reader
from bench.wire import HttpStream, Refused, WebSocket

TERMINAL = b'"sha256"'  # Only the event that ends a log carries one.


class OpenAI(Reader):
    """The upstream's own dialect, as a pass-through hands it on."""

    path = "/v1/chat/completions"
    terminal = b"data: [DONE]"

    async def connect(self) -> None:
        self.http = HttpStream()
        self.http.on_end = self.ended
        await self.open(self.http)

    async def ask(self, prompt: str) -> None:
        self.done = False
        body = {"stream": True, "model": "bench", "messages": [{"role": "user", "content": prompt}]}
        self.http.ask(self.path, json.dumps(body).encode(), self.target.credentials)

    def message(self, message: bytes, at: int) -> None:
        self.result.receive(message, at)
        if self.terminal in message:
            self.done = True

    def ended(self, body: bytes) -> None:
        if self.done:
            self.end()
        else:
            self.refuse("the response ended without a terminal event")


class Question(OpenAI):
    """A question in, plain ``data:`` lines out; the end of the response is the only end."""

    path = "/stream"
    terminal = b""

    async def ask(self, prompt: str) -> None:
        self.done = False
        self.http.ask(self.path, json.dumps({"question": prompt}).encode(), {})


class NaiveSocket(Reader):
    """A frame with the prompt in, a frame per token out."""

    async def connect(self) -> None:
        socket = self.socket = WebSocket()
        await self.open(socket)
        socket.open("/ws/", {})
        await socket.opened

    async def ask(self, prompt: str) -> None:
        self.socket.send(json.dumps({"text": prompt}).encode())

    def message(self, message: bytes, at: int) -> None:
        if not self.result.receive(message, at) and b'"done"' in message:
            self.end()


class ChainlitSocket(Reader):
    """
    Chainlit's events in Socket.IO's packets, over a WebSocket from the start.

    A packet begins with Engine.IO's type and, in a message (``4``), Socket.IO's.
    """

    path = "/ws/socket.io/?EIO=4&transport=websocket"

    async def connect(self) -> None:
        socket = self.socket = WebSocket()
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self.open(socket)
        socket.open(self.path, {})
        await socket.opened
        await self.first_of(self.greeted, "closed before the session was ready")

    async def ask(self, prompt: str) -> None:
        message = {
            "id": str(uuid.uuid4()),
            "name": "user",
            "type": "user_message",
            "output": prompt,
            "createdAt": "2026-01-01T00:00:00.000Z",
        }
        self.emit("client_message", {"message": message, "fileReferences": []})

    def emit(self, *event: object) -> None:
        self.socket.send(b"42" + json.dumps(event).encode())

    def message(self, message: bytes, at: int) -> None:
        # The first token is in ``stream_start``. What ends the answer repeats all of it.
        if message.startswith(b'42["stream_'):
            self.result.receive(message, at)
        elif message.startswith(b"42["):
            self.event(*json.loads(message[2:]))
        elif message == b"2":
            self.socket.send(b"3")
        else:
            self.handshake(message)

    def event(self, name: str, data: Any = None) -> None:
        if not self.greeted.done():
            # A new session is told first that no task is running; this is the last it is told.
            if name == "clear_call_fn":
                self.greeted.set_result(None)
        elif name == "new_message" and data["isError"]:
            self.refuse(data["output"])
        elif name == "task_end":
            self.end()

    def handshake(self, message: bytes) -> None:
        if message.startswith(b"0{"):
            auth = {"sessionId": str(uuid.uuid4()), "clientType": "webapp", "userEnv": "{}"}
            self.socket.send(b"40" + json.dumps(auth).encode())
        elif message.startswith(b"40"):
            self.emit("connection_successful")
        else:
            raise Refused(f"a packet that starts with {message[:40].decode()!r}")


class Socket(Reader):
    """The product's WebSocket protocol (docs/protocol.md)."""

    async def connect(self) -> None:
        socket = self.socket = WebSocket()
        loop = asyncio.get_running_loop()
        self.greeted: asyncio.Future[None] = loop.create_future()
        self.accepted: asyncio.Future[str] = loop.create_future()
        await self.open(socket)
        socket.open("/ws/chat/", self.target.credentials)
        await socket.opened
        await self.first_of(self.greeted, "closed before hello")

    async def ask(self, prompt: str) -> None:
        self.frame(type="send", id=str(uuid.uuid4()), conversation=None, text=prompt)

    def follow(self, generation: str, expected: int) -> None:
        """Read a generation that somebody else has started; ``finish`` returns it."""
        self.start(expected)
        self.frame(type="follow", generation=generation, after=0)

    def frame(self, **fields: object) -> None:
        self.socket.send(json.dumps(fields).encode())

    def message(self, message: bytes, at: int) -> None:
        if not self.greeted.done() and json.loads(message)["type"] == "hello":
            self.greeted.set_result(None)
        elif not self.result.receive(message, at) or TERMINAL in message:
            self.control(json.loads(message))

    def control(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "error":
            self.refuse(f"{frame['code']}: {frame['message']}")
        elif frame["type"] == "accepted":
            if not self.accepted.done():
                self.accepted.set_result(frame["generation"])
        elif frame["type"] == "events":
            self.last_event(frame["events"][-1]["kind"], frame["events"][-1]["data"])

    def last_event(self, kind: str, data: dict[str, Any]) -> None:
        if "sha256" not in data:
            return
        if kind != "done":
            self.refuse(f"{kind}: {data}")
            return
        try:
            self.result.check_text(data["length"], data["sha256"])
        except Refused as exc:
            self.refuse(str(exc))
        else:
            self.end()


class Events(OpenAI):
    """The product's SSE: a conversation, then a message whose answer is the response."""

    terminal = b"event: done"

    async def ask(self, prompt: str) -> None:
        self.done = False
        self.created: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.http.ask("/api/v1/conversations/", b"{}", self.target.credentials)
        await self.first_of(self.created, "closed before the conversation was created")
        headers = self.target.credentials | {
            "Accept": "text/event-stream",
            "Idempotency-Key": str(uuid.uuid4()),
        }
        path = f"/api/v1/conversations/{self.created.result()}/messages/"
        self.http.ask(path, json.dumps({"text": prompt}).encode(), headers)

    def ended(self, body: bytes) -> None:
        if not self.created.done():
            self.created.set_result(json.loads(body)["id"])
        else:
            super().ended(body)


DIALECTS: dict[str, type[Reader]] = {
    "openai": OpenAI,
    "question": Question,
    "naive": NaiveSocket,
    "chainlit": ChainlitSocket,
    "socket": Socket,
    "events": Events,
}

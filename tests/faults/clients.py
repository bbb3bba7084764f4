"""
People who never give up, and write down all they see.

A client sends a prompt with an idempotency key until somebody acknowledges it,
and follows the answer to its end, over whichever transport and to whichever
process, from the cursor it has. All clients of a test share one event loop.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.history import Ack, History, Reading
from tests.guarantees.readers import Event, EventStreamParser, cut_events

TRANSPORTS = ("ws", "sse", "poll")
# A site under test sends a sign of life every `HEARTBEAT` seconds; a reader
# that has had none for so long looks for another connection.
HEARTBEAT = 2.0
QUIET = 6.0
PATIENCE = 60.0


class Refused(Exception):
    """The site said no, for now."""

    def __init__(self, status: int, body: dict[str, Any], retry_after: float | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body.get("code", "")
        self.retry_after = retry_after


FAILURES = (OSError, httpx.TransportError, WebSocketException, TimeoutError, EOFError, Refused)


@dataclass
class Turn:
    """What a client knows of one prompt and its answer."""

    prompt: str
    model: str
    conversation: str | None = None
    key: str = field(default_factory=lambda: str(uuid4()))
    generation: str | None = None
    cursor: int = 0
    end: Event | None = None
    refusals: list[tuple[int, str]] = field(default_factory=list)
    # The longest time without an event, once the first one had come.
    longest_wait: float = 0.0
    event_at: float | None = None

    @property
    def status(self) -> str:
        return self.end.kind if self.end else "unknown"


class Client:
    """
    One person. ``urls`` tells which processes may be asked at the moment.

    ``life`` bounds how long each attachment is kept before another is made,
    as people do who change networks and tabs.
    """

    def __init__(
        self,
        name: str,
        key: str,
        urls: Callable[[], Sequence[str]],
        history: History,
        *,
        transports: Sequence[str] = TRANSPORTS,
        seed: int = 0,
        life: tuple[float, float] | None = None,
        patience: float = PATIENCE,
        may_expire: bool = False,
    ) -> None:
        self.name = name
        self.urls = urls
        self.history = history
        self.transports = transports
        self.life = life
        self.patience = patience
        # Whether a log may be lost before its time, so that the saved message is to be read.
        self.may_expire = may_expire
        self.random = random.Random(seed)
        self.failures: list[str] = []
        self.headers = {"Authorization": f"Bearer {key}"}
        # No bound on connections: hundreds may ask at once, and none is to wait for a place here.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self.http = httpx.AsyncClient(headers=self.headers, timeout=QUIET, limits=limits)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.aclose()

    # What people do ---------------------------------------------------------------

    async def converse(self, prompt: str, *, model: str, **options: Any) -> Turn:
        """Ask and read the answer to its end."""
        turn = Turn(prompt, model, **options)
        await self.finish(turn)
        return turn

    async def finish(self, turn: Turn, *, patience: float | None = None) -> None:
        """Go on with a turn until its end has been read. Complain if it takes too long."""
        await self._insist(turn, lambda: turn.end is not None, self._attend, patience)

    async def ask(self, turn: Turn, *, patience: float | None = None) -> None:
        """Send a prompt until it is acknowledged."""
        await self._insist(turn, lambda: turn.generation is not None, self._post, patience)

    async def stop(self, turn: Turn, *, patience: float | None = None) -> None:
        """Stop an answer; return when the site says that it has ended."""
        assert turn.generation
        stopped: list[str] = []

        async def post(turn: Turn) -> None:
            path = f"/generations/{turn.generation}/stop/"
            answer = await self._request("POST", path, timeout=15)
            stopped.append(answer["status"])

        await self._insist(turn, lambda: bool(stopped), post, patience)

    def complain(self, turn: Turn, words: str) -> None:
        self.history.complaints.append((turn.generation or turn.prompt, f"{self.name}: {words}"))

    async def _insist(
        self, turn: Turn, is_done: Callable[[], bool], attempt: Any, patience: float | None
    ) -> None:
        patience = patience or self.patience
        until = time.monotonic() + patience
        pause = 0.02
        while not is_done():
            if time.monotonic() > until:
                words = f"{attempt.__name__} not done after {patience:g} s: {self.failures[-3:]}"
                self.complain(turn, words)
                return
            try:
                await attempt(turn)
                pause = 0.02
            except FAILURES as exc:
                self._note(turn, exc)
                await asyncio.sleep(self.random.uniform(pause / 2, pause))
                pause = min(0.5, pause * 2)

    def _note(self, turn: Turn, exc: BaseException) -> None:
        self.failures.append(f"{type(exc).__name__} {exc}"[:200])
        if isinstance(exc, Refused):
            turn.refusals.append((exc.status, exc.code))
            if exc.code == "events_expired" and self.may_expire:
                turn.end = Event(None, exc.code, "{}")
            elif exc.code in ("events_expired", "invalid_cursor", "idempotency_conflict"):
                self.complain(turn, f"{exc.code} at {turn.cursor}")
                turn.end = turn.end or Event(None, exc.code, "{}")
            elif exc.status in (400, 401, 403, 404) and turn.generation:
                self.complain(turn, str(exc))

    # Attachments ------------------------------------------------------------------

    async def _attend(self, turn: Turn) -> None:
        """Ask if nobody has acknowledged yet, and read for as long as this attachment lives."""
        transport = self.random.choice(self.transports)
        life = self.random.uniform(*self.life) if self.life else None
        try:
            async with asyncio.timeout(life) as ours:
                if transport == "ws":
                    await self._by_socket(turn)
                    return
                await self._post(turn)
                await (self._by_stream(turn) if transport == "sse" else self._by_polls(turn))
        except TimeoutError:
            if not ours.expired():  # Else it is no failure to leave.
                raise

    def _take(self, turn: Turn, reading: Reading, events: list[Event]) -> None:
        now = time.monotonic()
        for event in events:
            self.history.saw(reading, event, now)
            turn.cursor = max(turn.cursor, event.cursor or 0)
            if event.is_terminal:
                turn.end = event
        if events:
            turn.longest_wait = max(turn.longest_wait, now - (turn.event_at or now))
            turn.event_at = now

    def _reading(self, turn: Turn, transport: str, after: int) -> Reading:
        assert turn.generation
        reading = Reading(f"{self.name} by {transport}", turn.generation, after)
        self.history.readings.append(reading)
        return reading

    def _acknowledged(self, turn: Turn, generation: str) -> None:
        turn.generation = generation
        self.history.acks.append(Ack(self.name, turn.key, turn.prompt, generation))

    async def _by_socket(self, turn: Turn) -> None:
        conversation = await self._conversation(turn)
        address = self.random.choice(self.urls()).replace("http", "ws", 1) + "/ws/chat/"
        async with connect(
            address,
            additional_headers=self.headers,
            compression=None,
            proxy=None,
            max_size=None,
            open_timeout=QUIET,
            ping_interval=HEARTBEAT,
            ping_timeout=QUIET - HEARTBEAT,
            close_timeout=0.2,
        ) as socket:
            if turn.generation is None:
                after, frame = 0, {"type": "send", "id": turn.key, "conversation": conversation}
                frame |= {"text": turn.prompt, "model": turn.model}
            else:
                after = turn.cursor
                frame = {"type": "follow", "generation": turn.generation, "after": after}
            await socket.send(json.dumps(frame))
            reading = self._reading(turn, "ws", after) if turn.generation else None
            async for raw in socket:
                assert isinstance(raw, str)
                reading = self._take_frame(turn, reading, raw)
                if turn.end:
                    return
        raise EOFError

    def _take_frame(self, turn: Turn, reading: Reading | None, raw: str) -> Reading | None:
        frame = json.loads(raw)
        if frame["type"] == "accepted" and frame["id"] == turn.key:
            self._acknowledged(turn, frame["generation"])
            return self._reading(turn, "ws", 0)
        ours = frame.get("generation") == turn.generation and turn.generation
        if frame["type"] == "events" and ours:
            assert reading
            self._take(turn, reading, cut_events(raw))
        elif frame["type"] == "error" and (ours or frame.get("id") == turn.key):
            raise Refused(0, frame)
        return reading

    async def _by_stream(self, turn: Turn) -> None:
        reading = self._reading(turn, "sse", turn.cursor)
        address = f"{self._api()}/generations/{turn.generation}/events/"
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(turn.cursor)}
        parser = EventStreamParser()
        async with self.http.stream("GET", address, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                _refuse(response)
            async for data in response.aiter_raw():
                events = parser.feed(data)
                for event in events:
                    if event.kind == "error":
                        self._take(turn, reading, events[: events.index(event)])
                        raise Refused(0, event.fields)
                self._take(turn, reading, events)
                if turn.end:
                    return
        raise EOFError

    async def _by_polls(self, turn: Turn) -> None:
        while turn.end is None:
            reading = self._reading(turn, "poll", turn.cursor)
            response = await self.http.get(
                f"{self._api()}/generations/{turn.generation}/events/",
                params={"after": turn.cursor, "wait": HEARTBEAT},
                headers={"Accept": "application/json"},
            )
            if response.status_code != 200:
                _refuse(response)
            self._take(turn, reading, cut_events(response.text))

    # Requests ---------------------------------------------------------------------

    async def _conversation(self, turn: Turn) -> str:
        # Made first: on every transport and try the same request is repeated.
        if turn.conversation is None:
            turn.conversation = (await self._request("POST", "/conversations/", json={}))["id"]
        return turn.conversation

    async def _post(self, turn: Turn) -> None:
        if turn.generation is None:
            path = f"/conversations/{await self._conversation(turn)}/messages/"
            body = {"text": turn.prompt, "model": turn.model}
            headers = {"Idempotency-Key": turn.key}
            accepted = await self._request("POST", path, json=body, headers=headers)
            self._acknowledged(turn, accepted["generation"]["id"])

    async def _request(self, method: str, path: str, **options: Any) -> Any:
        response = await self.http.request(method, self._api() + path, **options)
        if response.status_code >= 300:
            _refuse(response)
        return response.json()

    def _api(self) -> str:
        return self.random.choice(self.urls()) + "/api/v1"


def _refuse(response: httpx.Response) -> None:
    body: dict[str, Any] = {}
    with suppress(ValueError, KeyError, AttributeError):
        body = response.json()["error"]
    wait = response.headers.get("Retry-After")
    raise Refused(response.status_code, body, float(wait) if wait else None)


async def chatter(
    client: Client, model: str, until: Callable[[], bool], *, stops: float = 0.1
) -> AsyncIterator[Turn]:
    """Ask one thing after another, stopping now and then what is being answered."""
    number = 0
    while not until():
        number += 1
        turn = Turn(f"{client.name} asks {number} {uuid4().hex[:8]}", model)
        if client.random.random() < stops:
            await client.ask(turn)
            await asyncio.sleep(client.random.uniform(0, 0.5))
            if turn.generation:
                await client.stop(turn)
        await client.finish(turn)
        yield turn

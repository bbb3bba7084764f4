"""Clients of the site: a person with an API key and a session, their sockets and streams."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from uuid import uuid4

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.guarantees.readers import Event, EventStreamParser, cut_events, text_of
from tests.servers import Site

API = "/api/v1"
PATIENCE = 20.0


class Socket:
    """One WebSocket. Frames that nobody has waited for yet are kept."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.pending: list[tuple[dict[str, Any], str]] = []

    def send(self, kind: str, **fields: Any) -> None:
        self.send_raw(json.dumps({"type": kind, **fields}))

    def send_raw(self, data: str | bytes) -> None:
        self.connection.send(data)

    def submit(self, text: str, **fields: Any) -> str:
        """Send a prompt and return the id of the frame."""
        frame = {"id": str(uuid4()), "conversation": None, "text": text, **fields}
        self.send("send", **frame)
        return frame["id"]

    def ask(self, text: str, **fields: Any) -> dict[str, Any]:
        """Send a prompt and return its ``accepted`` frame."""
        return self.wait("accepted", id=self.submit(text, **fields))

    def wait(self, kind: str, *, patience: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Return the next frame of that type with those fields. Raise TimeoutError."""
        return self._take({"type": kind, **fields}, patience)[0]

    def _take(self, wanted: dict[str, Any], patience: float) -> tuple[dict[str, Any], str]:
        deadline = time.monotonic() + patience
        index = 0
        while True:
            while index == len(self.pending):
                raw = self.connection.recv(timeout=max(0.0, deadline - time.monotonic()))
                assert isinstance(raw, str)
                self.pending.append((json.loads(raw), raw))
            frame, raw = self.pending[index]
            if all(frame.get(name) == value for name, value in wanted.items()):
                return self.pending.pop(index)
            index += 1

    def batches(self, generation: str, *, patience: float = PATIENCE) -> Iterator[list[Event]]:
        """Yield each ``events`` frame's events, up to the terminal one."""
        while True:
            batch = cut_events(
                self._take({"type": "events", "generation": generation}, patience)[1]
            )
            yield batch
            if batch[-1].is_terminal:
                return

    def events(self, generation: str) -> list[Event]:
        return [event for batch in self.batches(generation) for event in batch]

    def ping(self) -> float:
        """Return the seconds until the pong."""
        sent = time.monotonic()
        self.send("ping")
        self.wait("pong")
        return time.monotonic() - sent

    def close_code(self, *, patience: float = PATIENCE) -> int | None:
        """Wait for the server to close and return its code."""
        deadline = time.monotonic() + patience
        while self.connection.close_code is None and time.monotonic() < deadline:
            try:
                self.connection.recv(timeout=0.1)
            except TimeoutError:
                continue
            except ConnectionClosed:
                break
        return self.connection.close_code


class EventStream:
    """One event stream, iterated event by event as they arrive."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.parser = EventStreamParser()
        self.raw = b""

    def __iter__(self) -> Iterator[Event]:
        for data in self.response.iter_raw():
            self.raw += data
            yield from self.parser.feed(data)


class Person:
    """A user of a site. ``http`` carries the API key, ``browser`` the session."""

    def __init__(self, site: Site, *, name: str, key: str, session: str) -> None:
        self.site = site
        self.name = name
        self.key = key
        self.session = session

    @cached_property
    def http(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.site.url + API, headers=headers, timeout=30)

    @cached_property
    def browser(self) -> httpx.Client:
        """As a browser sends it: cookies, and the CSRF token where a page has put it."""
        token = "c" * 32
        cookies = {"sessionid": self.session, "csrftoken": token}
        headers = {"X-CSRFToken": token, "Origin": self.site.url}
        return httpx.Client(base_url=self.site.url, cookies=cookies, headers=headers, timeout=30)

    # Asking -----------------------------------------------------------------

    def conversation(self) -> str:
        answer = self.http.post("/conversations/", json={})
        return answer.raise_for_status().json()["id"]

    def post(
        self, text: str, *, conversation: str | None = None, key: str | None = None, **fields: Any
    ) -> httpx.Response:
        path = f"/conversations/{conversation or self.conversation()}/messages/"
        headers = {"Idempotency-Key": key} if key else {}
        return self.http.post(path, json={"text": text, **fields}, headers=headers)

    def ask(self, text: str, **options: Any) -> dict[str, Any]:
        """Send a prompt and return its generation."""
        return self.post(text, **options).raise_for_status().json()["generation"]

    def stop(self, generation: str) -> dict[str, Any]:
        answer = self.http.post(f"/generations/{generation}/stop/")
        return answer.raise_for_status().json()

    # Reading ----------------------------------------------------------------

    def generation(self, generation: str) -> dict[str, Any]:
        return self.http.get(f"/generations/{generation}/").raise_for_status().json()

    def messages(self, conversation: str) -> list[dict[str, Any]]:
        path = f"/conversations/{conversation}/messages/?limit=200"
        return self.http.get(path).raise_for_status().json()["items"]

    def saved_text(self, generation: dict[str, Any]) -> str:
        rows = self.messages(generation["conversation"])
        return next(row["text"] for row in rows if row["id"] == generation["message"])

    def poll(self, generation: str, *, after: int = 0, wait: float = 0) -> httpx.Response:
        return self.http.get(
            f"/generations/{generation}/events/",
            params={"after": after, "wait": wait},
            headers={"Accept": "application/json"},
        )

    def polled(self, generation: str, *, after: int = 0) -> list[Event]:
        """Return all events past a cursor, by as many long-polls as it takes."""
        found: list[Event] = []
        while True:
            answer = self.poll(generation, after=after, wait=10).raise_for_status()
            found += cut_events(answer.text)
            if answer.json()["terminal"]:
                return found
            after = answer.json()["cursor"]

    @contextmanager
    def stream(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None, **body: Any
    ) -> Iterator[EventStream]:
        """Open an event stream; leaving the block aborts it."""
        headers = {"Accept": "text/event-stream"} | (headers or {})
        options: dict[str, Any] = {"json": body} if method == "POST" else {}
        with self.http.stream(method, path, headers=headers, **options) as response:
            if response.status_code != 200:
                response.read()
                raise AssertionError(f"{response.status_code} {response.text}")
            yield EventStream(response)

    @contextmanager
    def follow(self, generation: str, *, after: int | None = None) -> Iterator[EventStream]:
        headers = {} if after is None else {"Last-Event-ID": str(after)}
        with self.stream(f"/generations/{generation}/events/", headers=headers) as stream:
            yield stream

    def streamed(self, generation: str, *, after: int | None = None) -> list[Event]:
        with self.follow(generation, after=after) as stream:
            return list(stream)

    def ended(self, generation: dict[str, Any]) -> dict[str, Any]:
        """Wait for the end; check what every end must keep to; return the generation."""
        events = self.streamed(generation["id"])
        check_log(events)
        found = self.generation(generation["id"])
        end = events[-1]
        assert (found["status"], found["cursor"]) == (end.kind, end.cursor)
        assert self.saved_text(found) == text_of(events)
        return found

    @contextmanager
    def socket(self, **options: Any) -> Iterator[Socket]:
        """Open a WebSocket with the API key, or as the browser's with ``by_session``."""
        options = dict(options)
        if options.pop("by_session", False):
            headers = {"Cookie": f"sessionid={self.session}"}
            options.setdefault("origin", self.site.url)
        else:
            headers = {"Authorization": f"Bearer {self.key}"}
        with open_socket(self.site, headers=headers, **options) as socket:
            yield socket


@contextmanager
def open_socket(site: Site, *, headers: dict[str, str], **options: Any) -> Iterator[Socket]:
    connection = connect(
        f"{site.ws_url}/ws/chat/",
        additional_headers=headers,
        compression=None,
        max_size=None,
        proxy=None,
        **options,
    )
    with connection:
        yield Socket(connection)


def check_log(events: list[Event]) -> None:
    """Check what holds for every whole log: no gap, no repeat, one end that proves the text."""
    assert [event.cursor for event in events] == list(range(1, len(events) + 1))
    assert [event.is_terminal for event in events].index(True) == len(events) - 1
    text, end = text_of(events), events[-1].fields
    assert end["length"] == len(text)
    assert end["sha256"] == hashlib.sha256(text.encode()).hexdigest()

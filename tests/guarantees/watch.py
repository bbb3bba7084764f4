"""All that one session or key can hold open at once, and when each of it heard its last."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed

from tests.guarantees.clients import API, Person, open_socket
from tests.servers import Site

READERS = ("socket", "busy stream", "quiet stream", "busy polls", "quiet poll")


class Watch:
    """
    A socket, two event streams and two long-polls: of an answer being written, of a quiet one.

    ``heard`` has when each last heard of an event, ``ended`` when and how it ended.
    """

    def __init__(self, site: Site, headers: dict[str, str], *, busy: str, quiet: str) -> None:
        self.site = site
        self.headers = headers
        self.busy, self.quiet = busy, quiet
        self.heard: dict[str, float] = {}
        self.ended: dict[str, tuple[float, Any]] = {}
        self.closing = False
        self.http = httpx.Client(base_url=site.url + API, headers=headers, timeout=60)
        self.threads = [
            threading.Thread(target=self._run, args=(name, getattr(self, name.replace(" ", "_"))))
            for name in READERS
        ]

    def _run(self, name: str, read: Callable[[Callable[[], None]], Any]) -> None:
        def hear() -> None:
            self.heard[name] = time.monotonic()

        try:
            outcome = read(hear)
        except (httpx.HTTPError, OSError) as exc:
            outcome = repr(exc)
        self.ended[name] = (time.monotonic(), outcome)

    def socket(self, hear: Callable[[], None]) -> int | None:
        with open_socket(self.site, headers=self.headers, origin=self.site.url) as socket:
            for generation in (self.busy, self.quiet):
                socket.send("follow", generation=generation, after=0)
            with suppress(ConnectionClosed):
                while not self.closing:
                    with suppress(TimeoutError):
                        socket.connection.recv(timeout=0.2)
                        hear()
            return socket.connection.close_code

    def _stream(self, generation: str, hear: Callable[[], None]) -> int:
        headers = {"Accept": "text/event-stream"}
        path = f"/generations/{generation}/events/"
        with self.http.stream("GET", path, headers=headers) as response:
            for data in response.iter_raw():
                if b"data:" in data:
                    hear()
                if self.closing:
                    break
        return response.status_code

    def busy_stream(self, hear: Callable[[], None]) -> int:
        return self._stream(self.busy, hear)

    def quiet_stream(self, hear: Callable[[], None]) -> int:
        return self._stream(self.quiet, hear)

    def _poll(self, generation: str, after: int) -> httpx.Response:
        return self.http.get(
            f"/generations/{generation}/events/",
            params={"after": after, "wait": 60},
            headers={"Accept": "application/json"},
        )

    def busy_polls(self, hear: Callable[[], None]) -> int:
        after = 0
        while (answer := self._poll(self.busy, after)).status_code == 200 and not self.closing:
            hear()
            after = answer.json()["cursor"]
        return answer.status_code

    def quiet_poll(self, hear: Callable[[], None]) -> int:
        after = self._poll(self.quiet, 0).json()["cursor"]
        hear()
        return self._poll(self.quiet, after).status_code

    def lives(self) -> bool:
        """Return whether all is still open and hears what there is to hear."""
        since = time.monotonic()
        deadline = since + 5
        busy = ("socket", "busy stream", "busy polls")
        while time.monotonic() < deadline and not self.ended:
            if all(self.heard.get(name, 0) > since for name in busy):
                return True
            time.sleep(0.02)
        return False

    def wait(self, seconds: float) -> None:
        """Wait until all has ended."""
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        self.wait(10)
        self.http.close()

    def codes(self) -> dict[str, Any]:
        return {name: outcome for name, (_, outcome) in self.ended.items()}

    def attach(self) -> tuple[int | None, set[int]]:
        """Try to open everything anew; return the socket's close code and the statuses."""
        paths = ["/conversations/"]
        for generation in (self.busy, self.quiet):
            paths += [f"/generations/{generation}/", f"/generations/{generation}/events/"]
        accepts = ("application/json", "text/event-stream")
        statuses = {
            self.http.get(path, headers={"Accept": accept}).status_code
            for path in paths
            for accept in accepts
        }
        with open_socket(self.site, headers=self.headers, origin=self.site.url) as socket:
            return socket.close_code(), statuses


def over(code: int = 4403) -> dict[str, Any]:
    """Return how all of a watch ends that may read no longer."""
    return {
        "socket": code, "busy stream": 200, "quiet stream": 200,
        "busy polls": 401, "quiet poll": 401,
    }  # fmt: skip


@contextmanager
def watching(
    person: Person, generations: dict[str, str], *headers: dict[str, str]
) -> Iterator[list[Watch]]:
    """Watch answers by several sessions or keys. What goes on ends with the answers."""
    with person.follow(generations["quiet"]) as stream:
        next(event for event in stream if event.kind == "delta")  # From now on it is quiet.
    watches = [Watch(person.site, each, **generations) for each in headers]
    try:
        for thread in [thread for watch in watches for thread in watch.threads]:
            thread.daemon = True
            thread.start()
        deadline = time.monotonic() + 20
        while not all(READERS[0] in w.heard and len(w.heard) == len(READERS) for w in watches):
            assert time.monotonic() < deadline, [(w.heard, w.ended) for w in watches]
            time.sleep(0.02)
        yield watches
    finally:
        for watch in watches:
            watch.closing = True
            person.watches.append(watch)


def by_session(session: str) -> dict[str, str]:
    return {"Cookie": f"sessionid={session}"}


def by_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}

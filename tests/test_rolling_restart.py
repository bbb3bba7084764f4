"""Two processes behind nginx are restarted one after the other, and nobody loses anything."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.guarantees.clients import API, EventStream, Person, check_log
from tests.guarantees.readers import Event, cut_events, text_of
from tests.guarantees.sites import People, two_processes
from tests.nginx import Nginx
from tests.servers import DaphneSite, UvicornSite
from tests.upstream import words_text

DRAIN = {"CHAT_DRAIN_SECONDS": "3", "CHAT_DRAIN_JITTER_SECONDS": "1"}
PATIENCE = 40.0  # For one answer: 15 seconds after a crash, and here there is none.
AWAY = {502, 503, 504}  # What a client tries again.
WORDS = 400  # In 4 seconds: some of them longer than the drain.


class Answer:
    """One prompt and everything that its reader was sent, across all its connections."""

    def __init__(self, generation: dict[str, Any]) -> None:
        self.generation = generation
        self.events: list[Event] = []
        self.connections = 0

    @property
    def cursor(self) -> int:
        return len(self.events)

    @property
    def has_ended(self) -> bool:
        return bool(self.events) and self.events[-1].is_terminal

    def take(self, events: list[Event]) -> None:
        # Checked at once, so that a failure shows where it happened.
        for event in events:
            assert event.cursor == self.cursor + 1, (self.generation, self.cursor, event)
            self.events.append(event)


class Client:
    """Asks and reads until told to finish; comes back after whatever happens to a connection."""

    def __init__(self, person: Person, read: Any) -> None:
        self.person = person
        self.read = read
        self.answers: list[Answer] = []

    def run(self, finish: threading.Event) -> list[Answer]:
        while not finish.is_set():
            answer = Answer(self.ask())
            self.answers.append(answer)
            deadline = time.monotonic() + PATIENCE
            while not answer.has_ended:
                answer.connections += 1
                assert time.monotonic() < deadline, (answer.generation, answer.cursor)
                with suppress(httpx.TransportError, ConnectionClosed, InvalidHandshake, OSError):
                    self.read(self.person, answer)
                time.sleep(0.05)
        return self.answers

    def ask(self) -> dict[str, Any]:
        conversation = self._post("/conversations/", {}, "")["id"]
        body = {"text": f"Count. {uuid4()}", "model": f"openai:words:{WORDS}@100"}
        path = f"/conversations/{conversation}/messages/"
        return self._post(path, body, str(uuid4()))["generation"]

    def _post(self, path: str, body: dict[str, str], key: str) -> dict[str, Any]:
        """Send until it is accepted: the key makes that once."""
        deadline = time.monotonic() + PATIENCE
        while True:
            assert time.monotonic() < deadline
            try:
                headers = {"Idempotency-Key": key} if key else {}
                answer = self.person.http.post(path, json=body, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code not in AWAY:
                return answer.raise_for_status().json()
            time.sleep(0.1)


def by_event_stream(person: Person, answer: Answer) -> None:
    path = f"{API}/generations/{answer.generation['id']}/events/"
    headers = {"Last-Event-ID": str(answer.cursor), "Accept": "text/event-stream"}
    with person.http.stream("GET", person.site.url + path, headers=headers) as response:
        if response.status_code in AWAY:
            return
        assert response.status_code == 200, (response.status_code, response.read())
        for event in EventStream(response):
            assert event.kind != "error", event
            answer.take([event])


def by_socket(person: Person, answer: Answer) -> None:
    with person.socket() as socket:
        socket.send("follow", generation=answer.generation["id"], after=answer.cursor)
        while not answer.has_ended:
            raw = socket.connection.recv(timeout=PATIENCE)
            assert isinstance(raw, str)
            assert '"type":"error"' not in raw, raw
            if '"type":"events"' in raw:
                answer.take(cut_events(raw))


def by_long_poll(person: Person, answer: Answer) -> None:
    polled = person.poll(answer.generation["id"], after=answer.cursor, wait=10)
    if polled.status_code in AWAY:
        return
    assert polled.status_code == 200, polled.text
    answer.take(cut_events(polled.text))


@pytest.fixture(params=[DaphneSite, pytest.param(UvicornSite, marks=pytest.mark.faults)])
def two_sites(request, postgres_server):
    name, kinds = f"rolling_{time.monotonic_ns()}", (request.param, request.param)
    with two_processes(postgres_server, name, kinds=kinds, **DRAIN) as sites:
        yield sites


def restart(site) -> float:
    """End and start a process as an orchestrator does. Return the seconds that it drained."""
    site.signal(signal.SIGTERM)
    told = time.monotonic()
    assert site.wait(20) == 0, site.output
    drained = time.monotonic() - told
    site.start()
    deadline = time.monotonic() + 20
    while httpx.get(f"{site.url}/readyz").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return drained


def test_d04_a_rolling_restart_loses_no_prompt_and_no_byte(two_sites):
    changes = {
        "rate=10r/s": "rate=1000r/s",
        "limit_conn chat_connections 40": "limit_conn chat_connections 400",
    }
    finish = threading.Event()
    people = People(two_sites[0])
    ada = people.ada
    with Nginx(*two_sites, changes=changes) as nginx, ThreadPoolExecutor() as pool:
        persons = [Person(nginx, name="ada", key=ada.key, session=ada.session) for _ in range(6)]
        readers = [by_event_stream, by_socket, by_long_poll] * 2
        clients = [Client(*each) for each in zip(persons, readers, strict=True)]
        running = [pool.submit(client.run, finish) for client in clients]
        try:
            time.sleep(2)
            drained = [restart(site) for site in (*two_sites, *two_sites)]
            time.sleep(2)
        finally:
            finish.set()
        answers = [answer for each in running for answer in each.result(PATIENCE * 2)]
    assert max(drained) < 3 + 5
    assert len(answers) >= 12
    assert any(answer.connections > 1 for answer in answers)
    for answer in answers:
        check_log(answer.events)
        found = ada.generation(answer.generation["id"])
        assert found["status"] == answer.events[-1].kind
        assert found["status"] in ("done", "interrupted")
        text = ada.saved_text(found)
        assert text == text_of(answer.events)
        assert words_text(WORDS).startswith(text)
        # One may be interrupted between its last word and its end.
        assert found["status"] == "interrupted" or text == words_text(WORDS)
    assert any(answer.events[-1].kind == "done" for answer in answers)
    for person in persons:
        person.http.close()
    people.close()

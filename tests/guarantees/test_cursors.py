"""One sequence for every reader, whatever it comes by and however often it comes back."""

import hashlib
import random
import socket
import time
from itertools import pairwise
from uuid import uuid4

import pytest

from tests.guarantees.clients import API, Person, check_log
from tests.guarantees.readers import Event, cut_events, text_of
from tests.upstream import words_text


@pytest.fixture
def answer(ada):
    """A generation that has ended, with its events."""
    generation = ada.ask("Count.", model="openai:words:40")
    return generation, ada.streamed(generation["id"])


def test_events_of_a_posted_prompt_arrive_one_by_one(ada):
    path = f"/conversations/{ada.conversation()}/messages/"
    with ada.stream(path, method="POST", text="Count.", model="openai:words:50@50") as stream:
        headers = stream.response.headers
        times = [(time.monotonic(), event) for event in stream]
    check_log([event for _, event in times])
    assert text_of([event for _, event in times]) == words_text(50)
    deltas = [at for at, event in times if event.kind == "delta"]
    pauses = [b - a for a, b in pairwise(deltas)]
    assert deltas[-1] - deltas[0] > 0.6
    assert sum(pause > 0.01 for pause in pauses) > 10
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["content-encoding"] == "identity"
    blocks = stream.raw.decode("ascii").removesuffix("\n\n").split("\n\n")
    names = [[line.split(":")[0] for line in block.split("\n")] for block in blocks]
    assert all(block == ["event", "data", "id"] for block in names), names


def test_e11_three_transports_carry_the_same_bytes_for_each_cursor(ada):
    conversation = ada.conversation()
    path = f"/conversations/{conversation}/messages/"
    with (
        ada.stream(path, method="POST", text="Count.", model="openai:words:60@100") as posted,
        ada.socket() as socket_,
    ):
        running = socket_.wait("hello")["running"]
        (generation,) = [r["generation"] for r in running if r["conversation"] == conversation]
        socket_.send("follow", generation=generation, after=0)
        by_poll = ada.polled(generation)
        by_socket = socket_.events(generation)
        by_post = list(posted)
    check_log(by_post)
    assert by_post == by_socket == by_poll == ada.streamed(generation)
    assert by_post[-1].kind == "done"


class Wanderer:
    """A reader that never stays: each visit takes a few events by some transport and leaves."""

    def __init__(self, person: Person, generation: str, *, seed: int) -> None:
        self.person = person
        self.generation = generation
        self.chance = random.Random(seed)
        self.events: list[Event] = []
        self.visits = {"stream": 0, "socket": 0, "poll": 0}

    def read_to_the_end(self, *, resume_at_random: bool) -> None:
        while not (self.events and self.events[-1].is_terminal):
            if resume_at_random:  # As if the last pages of it had been lost.
                keep = self.chance.randint(max(0, len(self.events) - 3), len(self.events))
                del self.events[keep:]
            visit = self.chance.choice(list(self.visits))
            self.visits[visit] += 1
            got = getattr(self, visit)(len(self.events), self.chance.randint(1, 4))
            assert [event.cursor for event in got] == [
                len(self.events) + 1 + index for index in range(len(got))
            ]
            self.events += got

    def stream(self, after: int, number: int) -> list[Event]:
        got: list[Event] = []
        with self.person.follow(self.generation, after=after) as stream:
            for event in stream:
                got.append(event)
                if len(got) == number:
                    break
        return got

    def socket(self, after: int, number: int) -> list[Event]:
        with self.person.socket() as socket_:
            socket_.send("follow", generation=self.generation, after=after)
            return next(socket_.batches(self.generation))[:number]

    def poll(self, after: int, number: int) -> list[Event]:
        answer = self.person.poll(self.generation, after=after, wait=5)
        return cut_events(answer.raise_for_status().text)[:number]


@pytest.mark.parametrize("resume_at_random", [False, True])
def test_a_reader_that_comes_back_fifty_times_ends_with_the_whole_answer(ada, resume_at_random):
    generation = ada.ask("Count.", model="openai:words:600@150")
    reader = Wanderer(ada, generation["id"], seed=int(resume_at_random))
    reader.read_to_the_end(resume_at_random=resume_at_random)
    assert sum(reader.visits.values()) >= 50
    assert min(reader.visits.values()) >= 10
    check_log(reader.events)
    end = reader.events[-1].fields
    assert end["sha256"] == hashlib.sha256(words_text(600).encode()).hexdigest()
    assert reader.events == ada.streamed(generation["id"])


def test_every_cursor_resumes_with_exactly_the_rest(ada):
    generation = ada.ask("Count.", model="openai:words:50@100")["id"]
    whole = ada.streamed(generation)
    with ada.socket() as socket_:
        for after in range(len(whole)):
            assert ada.streamed(generation, after=after) == whole[after:]
            assert cut_events(ada.poll(generation, after=after).text) == whole[after:]
            socket_.send("follow", generation=generation, after=after)
            assert socket_.events(generation) == whole[after:]


def test_last_event_id_wins_over_after(ada, answer):
    generation, events = answer
    path = f"/generations/{generation['id']}/events/?after=1"
    with ada.stream(path, headers={"Last-Event-ID": "2"}) as stream:
        assert list(stream) == events[2:]


def test_e10_attaching_at_the_end_says_that_there_is_no_more(ada, answer):
    generation, events = answer
    last = len(events)
    path = f"/generations/{generation['id']}/events/"
    over = ada.http.get(path, headers={"Last-Event-ID": str(last)})
    assert (over.status_code, over.content) == (204, b"")
    polled = ada.poll(generation["id"], after=last, wait=10).json()
    assert polled == {"events": [], "cursor": last, "terminal": True}


def test_e10_attaching_before_the_first_event_of_a_queued_answer_gets_all(ada):
    conversation = ada.conversation()
    ada.ask("First.", conversation=conversation, model="openai:words:10@20")
    queued = ada.ask("Second.", conversation=conversation, model="openai:words:5")
    assert queued["status"] == "queued"
    with ada.socket() as socket_:
        socket_.send("follow", generation=queued["id"], after=0)
        events = ada.streamed(queued["id"])
        assert socket_.events(queued["id"]) == events
    check_log(events)
    assert text_of(events) == words_text(5)


def test_e10_attaching_after_deletion_finds_nothing(ada, answer):
    generation, _ = answer
    conversation = ada.generation(generation["id"])["conversation"]
    assert ada.http.delete(f"/conversations/{conversation}/").status_code == 204
    gone = ada.http.get(f"/generations/{generation['id']}/events/")
    never = ada.http.get(f"/generations/{uuid4()}/events/")
    assert (gone.status_code, gone.text) == (404, never.text)
    with ada.socket() as socket_:
        socket_.send("follow", generation=generation["id"], after=0)
        error = socket_.wait("error", generation=generation["id"])
        assert error["code"] == "not_found"


# Cursors that no client of ours would send ----------------------------------

BAD_CURSORS = [
    "", "-1", "+1", "1e9", "1.0", "0x1", str(2**63), "9" * 5000, "../", "%00", "1,2", "1 2",
    "null", "NaN", "epoch:3", "'; DROP TABLE chat_generation; --", "1000000",
]  # fmt: skip


def refused(response) -> bool:
    return response.status_code == 400 and response.json()["error"]["code"] == "invalid_cursor"


@pytest.mark.parametrize("cursor", BAD_CURSORS)
def test_b16_cursor_abuse_over_http_is_refused(ada, answer, cursor):
    path = f"/generations/{answer[0]['id']}/events/"
    assert refused(ada.http.get(path, headers={"Last-Event-ID": cursor}))
    poll = {"Accept": "application/json"}
    assert refused(ada.http.get(path, headers={"Last-Event-ID": cursor} | poll))
    if cursor:  # Without a value it is as if it had not been sent.
        assert refused(ada.http.get(path, params={"after": cursor}))
        assert refused(ada.http.get(path, params={"after": cursor}, headers=poll))


@pytest.mark.parametrize("digits", ["²", "１", "٣"])
def test_b16_cursor_abuse_with_the_digits_of_other_scripts(ada, answer, digits):
    path = f"/generations/{answer[0]['id']}/events/"
    assert refused(ada.http.get(path, params={"after": digits}))
    header = {"Last-Event-ID": digits.encode()}
    assert refused(ada.http.get(path, headers=header))


def test_b16_cursor_abuse_by_a_future_cursor_of_a_running_answer(ada):
    generation = ada.ask("Count.", model="openai:words:100@100")
    path = f"/generations/{generation['id']}/events/"
    try:
        assert refused(ada.http.get(path, headers={"Last-Event-ID": "5000"}))
        assert refused(ada.poll(generation["id"], after=5000, wait=5))
        with ada.socket() as socket_:
            socket_.send("follow", generation=generation["id"], after=5000)
            assert socket_.wait("error")["code"] == "invalid_cursor"
    finally:
        ada.stop(generation["id"])


@pytest.mark.parametrize(
    "after", [-1, 1e9, 2**63, 10**400, "1", "", None, True, 1.5, [1], {"cursor": 1}, 1000]
)
def test_b16_cursor_abuse_over_a_socket_is_refused(ada, answer, after):
    with ada.socket() as socket_:
        socket_.send("follow", generation=answer[0]["id"], after=after)
        assert socket_.wait("error")["code"] in {"bad_request", "invalid_cursor"}
        assert socket_.ping() < 1
        assert not [frame for frame, _ in socket_.pending if frame["type"] == "events"]


@pytest.mark.parametrize(
    "headers",
    [
        b"Last-Event-ID: 1\r\nLast-Event-ID: 2\r\n",
        b"Last-Event-ID: 1\x00\r\n",
        b"Last-Event-ID: 1\xff\xfe\r\n",
        b"Last-Event-ID: " + b"1" * 65536 + b"\r\n",
    ],
    ids=["repeated", "nul", "not-utf-8", "64-KiB"],
)
def test_b16_cursor_abuse_with_raw_headers_gets_no_events(ada, answer, headers):
    path = f"{API}/generations/{answer[0]['id']}/events/"
    with socket.create_connection(("127.0.0.1", ada.site.port), timeout=10) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{ada.site.port}\r\n".encode())
        raw.sendall(f"Authorization: Bearer {ada.key}\r\nConnection: close\r\n".encode())
        raw.sendall(headers + b"\r\n")
        received = b""
        while data := raw.recv(65536):
            received += data
    status = received[:12]
    assert status[:10] == b"HTTP/1.1 4" or received == b"", received[:300]
    assert b"event:" not in received
    assert ada.generation(answer[0]["id"])["status"] == "done"

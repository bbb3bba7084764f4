"""A site that is told to end sends its readers away, lets answers end, and loses nothing."""

import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from websockets.exceptions import ConnectionClosed

from tests.guarantees.clients import Person, check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import WIDE_LIMITS, People, database_path
from tests.servers import DaphneSite, Site, UvicornSite
from tests.upstream import words_text

SERVERS = pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
MARGIN = 5.0  # What G10 leaves a process after its drain.


@pytest.fixture
def serve(site_factory):
    """A function that starts a site and returns it with somebody who is signed in."""
    opened = []

    def start(kind: type[Site], *, seconds: float, jitter: float = 0) -> tuple[Site, Person]:
        drain = {"CHAT_DRAIN_SECONDS": str(seconds), "CHAT_DRAIN_JITTER_SECONDS": str(jitter)}
        site = site_factory(kind, env=WIDE_LIMITS | drain)
        opened.append(People(site))
        return site, opened[-1].ada

    yield start
    for people in opened:
        people.close()


class Following(threading.Thread):
    """Reads an event stream to its end, however that comes."""

    def __init__(self, person: Person, generation: str) -> None:
        super().__init__()
        self.person, self.generation = person, generation
        self.events, self.comments = [], []
        self.ended_after = 0.0
        self.has_text = threading.Event()
        self.start()
        assert self.has_text.wait(20)

    def run(self) -> None:
        began = time.monotonic()
        with self.person.follow(self.generation) as stream:
            for event in stream:
                self.events.append(event)
                if event.kind == "delta":
                    self.has_text.set()
            self.comments = stream.parser.comments
        self.ended_after = time.monotonic() - began


def end(site: Site, number: int = signal.SIGTERM) -> float:
    site.signal(number)
    return time.monotonic()


@SERVERS
def test_readers_are_told_to_come_back_and_the_answer_ends_in_time(serve, kind):
    site, ada = serve(kind, seconds=15)
    generation = ada.ask("Count.", model="openai:words:60@20")
    with ada.socket() as socket:
        socket.send("follow", generation=generation["id"], after=0)
        socket.wait("events", generation=generation["id"])
        following = Following(ada, generation["id"])
        told = end(site)
        assert socket.close_code(patience=5) == 1012
        following.join(5)
    assert following.comments == ["reconnect"]
    assert not following.events[-1].is_terminal
    assert site.wait(20) == 0, site.output
    assert time.monotonic() - told < 15  # It did not wait longer than the answer took.
    site.start()
    found = ada.generation(generation["id"])
    assert found["status"] == "done"
    assert ada.saved_text(found) == words_text(60)
    assert words_text(60).startswith(text_of(following.events))


@SERVERS
def test_what_does_not_end_in_time_is_interrupted_with_its_text(serve, kind):
    site, ada = serve(kind, seconds=2)
    generation = ada.ask("Go on.", model="openai:words:5000@50")
    following = Following(ada, generation["id"])
    told = end(site)
    assert site.wait(20) == 0, site.output
    following.join(5)
    assert 1.5 < time.monotonic() - told < 2 + MARGIN
    assert "Traceback" not in site.output
    site.start()
    found = ada.generation(generation["id"])
    assert found["status"] == "interrupted"
    text = ada.saved_text(found)
    assert words_text(5000).startswith(text)
    assert text.startswith(text_of(following.events))
    # The answer went on while its readers were away: 50 tokens a second, for 2 seconds.
    assert len(text.split()) > len(text_of(following.events).split()) + 30


@SERVERS
def test_nothing_new_is_accepted_meanwhile(serve, kind):
    site, ada = serve(kind, seconds=8, jitter=4)
    conversation = ada.conversation()
    generation = ada.ask("Go on.", model="openai:infinite@20")
    answer = ada.generation(generation["id"])["message"]
    with ada.socket() as socket, ThreadPoolExecutor() as pool:
        socket.wait("hello")
        poll = pool.submit(
            ada.poll, ada.ask("Hang.", model="openai:silent")["id"], after=1, wait=30
        )
        time.sleep(0.5)
        told = end(site)
        refused = ada.post("One more.", conversation=conversation)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "draining"
        assert refused.json()["error"]["retryable"] is True
        assert int(refused.headers["Retry-After"]) > 0
        again = ada.http.post(f"/messages/{answer}/regenerate/", json={})
        assert again.status_code == 503
        try:
            frame = socket.submit("And another.")
            assert socket.wait("error", id=frame, patience=5)["code"] == "draining"
        except ConnectionClosed:  # Its turn has come before.
            assert socket.close_code() == 1012
        with ada.socket() as late:
            assert late.close_code() == 1012
        assert poll.result(5).json()["terminal"] is False
        assert time.monotonic() - told < 4
    end(site)
    assert site.wait(20) == 0, site.output
    site.start()
    assert ada.messages(conversation) == []


@SERVERS
def test_readers_leave_one_by_one(serve, kind):
    site, ada = serve(kind, seconds=6, jitter=3)
    with ThreadPoolExecutor(12) as pool:

        def leave(_: int) -> tuple[int | None, float]:
            with ada.socket() as socket:
                socket.wait("hello")
                ready.wait(20)
                return socket.close_code(), time.monotonic()

        ready = threading.Barrier(13)
        leaving = [pool.submit(leave, number) for number in range(12)]
        ready.wait(20)
        told = end(site)
        left = [each.result(20) for each in leaving]
    assert {code for code, _ in left} == {1012}
    moments = sorted(at - told for _, at in left)
    assert moments[-1] - moments[0] > 0.5  # By chance less: once in ten million times.
    assert moments[-1] < 3 + 2
    assert site.wait(20) == 0, site.output


@SERVERS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(serve, kind, number):
    site, ada = serve(kind, seconds=60, jitter=30)
    generation = ada.ask("Go on.", model="openai:infinite@20")
    with ada.socket() as socket:
        socket.wait("hello")
        following = Following(ada, generation["id"])
        end(site, number)
        time.sleep(1.5)
        assert site.process.poll() is None
        told = end(site, number)
        assert socket.close_code(patience=5) == 1012
        following.join(5)
    assert site.wait(20) == 0, site.output
    assert time.monotonic() - told < MARGIN
    site.start()
    assert ada.generation(generation["id"])["status"] == "interrupted"


@SERVERS
def test_a_site_with_nothing_to_do_ends_at_once(serve, kind):
    site, ada = serve(kind, seconds=60, jitter=30)
    ada.ended(ada.ask("Hello.", model="openai:echo"))
    told = end(site)
    assert site.wait(20) == 0, site.output
    assert time.monotonic() - told < MARGIN


def test_a_queued_prompt_is_answered_by_the_next_process(serve):
    site, ada = serve(DaphneSite, seconds=15)
    conversation = ada.conversation()
    ada.ask("Count.", conversation=conversation, model="openai:words:40@20")
    queued = ada.ask("Echo this.", conversation=conversation, model="openai:echo")
    assert queued["status"] == "queued"
    end(site)
    assert site.wait(20) == 0, site.output
    site.start()
    found = ada.ended(ada.generation(queued["id"]))
    assert found["status"] == "done"
    assert ada.saved_text(found) == "Echo this."


def test_a_stream_opened_meanwhile_gives_what_there_is_and_is_told_to_come_back(serve):
    site, ada = serve(DaphneSite, seconds=20, jitter=10)
    generation = ada.ask("Count.", model="openai:words:60@20")["id"]
    Following(ada, generation)
    end(site)
    events = []
    while not events or not events[-1].is_terminal:
        with ada.follow(generation, after=len(events)) as stream:
            events += stream
    check_log(events)
    assert events[-1].kind == "done"
    assert site.wait(20) == 0, site.output


@SERVERS
def test_a_request_that_is_being_answered_is_answered(serve, kind):
    site, ada = serve(kind, seconds=5)
    with ThreadPoolExecutor() as pool, closing(sqlite3.connect(database_path(site))) as other:
        other.execute("BEGIN IMMEDIATE")
        creating = pool.submit(ada.conversation)
        time.sleep(0.5)
        assert not creating.done()
        end(site)
        time.sleep(0.5)
        other.rollback()
        created = creating.result(5)
    assert site.wait(20) == 0, site.output
    site.start()
    assert ada.messages(created) == []

"""Workers: answers are written outside the web processes, and survive either's death."""

import signal
import threading
import time

import httpx
import pytest

from tests.guarantees.clients import Person, check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import WIDE_LIMITS, People
from tests.servers import UvicornSite, WorkerProcess
from tests.upstream import words_text

pytest.importorskip("procrastinate", reason="the extra `workers` is not installed")


TAKE_OVER_SECONDS = 15
STOP_SECONDS = 1


@pytest.fixture(scope="module")
def web(postgres_server):
    """A web process that writes nothing itself."""
    env = WIDE_LIMITS | {
        "DATABASE_URL": postgres_server.create_database("workers"),
        "CHAT_ENGINE": "procrastinate",
        "CHAT_WORKER_CONCURRENCY": "120",
        "CHAT_MAX_RUNNING_PER_USER": "200",
        "CHAT_DRAIN_SECONDS": "20",
    }
    with UvicornSite(env=env) as site:
        yield site


@pytest.fixture(scope="module")
def ada(web):
    people = People(web)
    yield people.ada
    people.close()


@pytest.fixture(scope="module")
def one_worker(web):
    with WorkerProcess(web) as process:
        yield process


@pytest.fixture
def worker(one_worker):
    """The site's one worker, running."""
    if one_worker.process.poll() is not None:
        one_worker.start()
    return one_worker


@pytest.fixture
def stopped(one_worker):
    """The site's one worker, not running."""
    one_worker.stop()
    return one_worker


class Follower:
    """Reads an answer in a thread, and comes back with its cursor when it is cut off."""

    def __init__(self, person: Person, generation: str) -> None:
        self.events = []
        self.reconnected = 0
        self._thread = threading.Thread(target=self._follow, args=(person, generation))
        self._thread.start()

    def _follow(self, person: Person, generation: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            after = self.events[-1].cursor if self.events else None
            try:
                with person.follow(generation, after=after) as stream:
                    self.events.extend(stream)  # As they come: what precedes a cut is kept.
            except httpx.TransportError:
                self.reconnected += 1
                time.sleep(0.1)
            if self.events and self.events[-1].is_terminal:
                return

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 20
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"Only {len(self.events)} events came"
            time.sleep(0.01)

    def join(self):
        self._thread.join(60)
        assert not self._thread.is_alive()
        check_log(self.events)
        return self.events


def test_what_the_web_process_accepts_the_worker_answers(web, ada, worker):
    generation = ada.ask("hi", model="openai:words:50@100")
    assert ada.ended(generation)["status"] == "done"
    assert ada.saved_text(generation) == words_text(50)
    assert was_run_by(web, worker.process.pid)


def was_run_by(web, pid: int) -> bool:
    """Tell whether the newest generation was run by that process."""
    code = (
        "from chat.models import Generation, Worker;"
        "newest = Generation.objects.latest('id');"
        f"print(Worker.objects.get(pk=newest.worker).name.endswith(' {pid}'))"
    )
    return web.manage("shell", "-v0", "-c", code).strip() == "True"


def test_what_waits_in_a_conversation_follows_at_once(ada, worker):
    conversation = ada.conversation()
    asked = [ada.ask(text, conversation=conversation, model="openai:words:20@50") for text in "abc"]
    assert [generation["status"] for generation in asked] == ["running", "queued", "queued"]
    for generation in asked:
        assert ada.ended(generation)["status"] == "done"


def test_a_killed_web_process_interrupts_nothing(web, ada, worker):
    generation = ada.ask("hi", model="openai:words:500@100")
    follower = Follower(ada, generation["id"])
    follower.wait_for(30)
    web.kill()
    web.start()
    events = follower.join()
    assert follower.reconnected
    assert events[-1].kind == "done"
    assert text_of(events) == words_text(500)


def test_stop_from_a_web_process_takes_a_second_at_most(web, ada, worker):
    generation = ada.ask("hi", model="openai:words:5000@100")
    follower = Follower(ada, generation["id"])
    follower.wait_for(20)
    asked_at = time.monotonic()
    stopped = ada.stop(generation["id"])
    took = time.monotonic() - asked_at
    events = follower.join()
    assert (stopped["status"], events[-1].kind) == ("stopped", "stopped")
    assert took <= STOP_SECONDS
    assert ada.saved_text(generation) == text_of(events)


def test_a_dead_workers_answer_keeps_its_text_and_what_was_unseen_is_answered(web, ada, worker):
    seen = ada.ask("hi", model="openai:words:5000@100")
    follower = Follower(ada, seen["id"])
    follower.wait_for(20)
    web.upstream.script("hang-before-headers", "words:5")
    unseen = ada.ask("hi", model="openai:fake")
    web.upstream.wait_for(lambda journal: journal[-1]["mode"] == "hang-before-headers")
    with WorkerProcess(web):
        worker.kill()
        killed_at = time.monotonic()
        events = follower.join()
        assert events[-1].kind == "interrupted"
        assert time.monotonic() - killed_at <= TAKE_OVER_SECONDS
        assert words_text(5000).startswith(text_of(events))
        assert ada.ended(unseen)["status"] == "done"
        assert time.monotonic() - killed_at <= TAKE_OVER_SECONDS
        assert ada.saved_text(unseen) == words_text(5)


def test_what_was_accepted_without_a_worker_is_answered_when_one_comes(ada, stopped):
    generation = ada.ask("hi", model="openai:words:5")
    withdrawn = ada.ask("hi", model="openai:words:5")
    assert ada.stop(withdrawn["id"])["status"] == "stopped"
    stopped.start()
    assert ada.ended(generation)["status"] == "done"
    assert ada.ended(withdrawn)["status"] == "stopped"


def test_a_lost_word_is_repeated(web, ada, stopped):
    generation = ada.ask("hi", model="openai:words:5")
    forget_what_is_handed_out(web)
    stopped.start()
    started_at = time.monotonic()
    assert ada.ended(generation)["status"] == "done"
    assert time.monotonic() - started_at <= TAKE_OVER_SECONDS


def forget_what_is_handed_out(web) -> None:
    code = (
        "from django.db import connection;"
        "connection.cursor().execute('DELETE FROM procrastinate_jobs')"
    )
    web.manage("shell", "-v0", "-c", code)


@pytest.mark.faults
def test_one_worker_writes_a_hundred_answers_at_once(web, ada, worker):
    before = len(web.upstream.journal)
    asked = [ada.ask("hi", model="openai:words:150@5") for _ in range(100)]
    for generation in asked:
        assert ada.ended(generation)["status"] == "done"
        assert ada.saved_text(generation) == words_text(150)
    journal = web.upstream.journal[before:]
    assert len(journal) == 100
    assert max(entry["opened"] for entry in journal) < min(entry["ended"] for entry in journal)


def test_sigterm_lets_a_worker_end_what_it_writes(ada, worker):
    generation = ada.ask("hi", model="openai:words:300@100")
    follower = Follower(ada, generation["id"])
    follower.wait_for(20)
    worker.signal(signal.SIGTERM)
    later = ada.ask("hi", model="openai:words:5")
    assert worker.wait(25) == 0
    assert follower.join()[-1].kind == "done"
    worker.start()
    assert ada.ended(later)["status"] == "done"


def test_a_worker_that_is_ended_at_once_ends(stopped):
    stopped.start()
    stopped.signal(signal.SIGTERM)
    assert stopped.wait() == 0

"""What a crash leaves: every accepted prompt, every end, and every word that anybody has seen."""

import signal
import threading
import time
from uuid import uuid4

import httpx
import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import asked, site_with_people
from tests.upstream import words_text


class Watcher:
    """Follows a generation in a thread and keeps what it has seen."""

    def __init__(self, person, generation: str) -> None:
        self.deltas = 0
        self.text = ""
        self._thread = threading.Thread(target=self._watch, args=(person, generation))
        self._thread.start()

    def _watch(self, person, generation: str) -> None:
        try:
            with person.follow(generation) as stream:
                for event in stream:
                    if event.kind == "delta":
                        self.text += event.fields["text"]
                        self.deltas += 1
        except httpx.TransportError:  # The site was killed: that is what is watched.
            return

    def join(self) -> None:
        self._thread.join(10)


class Crash:
    """A site that was killed in mid-answer and started again, and what was asked of it before."""

    def __init__(self, site, ada) -> None:
        self.site, self.ada = site, ada
        self.conversation = ada.conversation()
        self.keys = [str(uuid4()) for _ in range(3)]
        self.prompts = [f"{name} {uuid4().hex[:8]}" for name in ("One.", "Two.", "Three.")]
        self.models = ["openai:words:5000@100", "openai:echo", "openai:echo"]
        self.before = [self.ask(index) for index in range(3)]
        watcher = Watcher(ada, self.generations[0])
        assert site.upstream.wait_for(lambda _: watcher.deltas > 20, timeout=20)
        site.kill()
        watcher.join()
        self.seen = watcher.text
        site.start()
        up = time.monotonic()
        for generation in self.generations[1:]:
            ada.ended(ada.generation(generation))
        self.caught_up_after = time.monotonic() - up

    @property
    def generations(self) -> list[str]:
        return [body["generation"]["id"] for body in self.before]

    def ask(self, index: int) -> dict:
        answer = self.ada.post(
            self.prompts[index],
            conversation=self.conversation,
            key=self.keys[index],
            model=self.models[index],
        )
        return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def crash():
    with site_with_people() as (site, people):
        yield Crash(site, people.ada)


def test_a_killed_answer_is_interrupted_and_keeps_its_text(crash):
    found = crash.ada.generation(crash.generations[0])
    assert found["status"] == "interrupted"
    assert found["ended_at"]
    text = crash.ada.saved_text(found)
    assert len(crash.seen) > 100
    assert text.startswith(crash.seen)
    assert words_text(5000).startswith(text)


def test_readers_of_a_killed_answer_get_its_end(crash):
    generation = crash.generations[0]
    events = crash.ada.streamed(generation)
    check_log(events)
    assert events[-1].kind == "interrupted"
    assert text_of(events) == crash.ada.saved_text(crash.ada.generation(generation))
    with crash.ada.socket() as socket:
        socket.send("follow", generation=generation, after=0)
        assert socket.events(generation) == events


def test_queued_prompts_run_after_the_restart(crash):
    for index in (1, 2):
        generation = crash.ada.generation(crash.generations[index])
        assert crash.ada.ended(generation)["status"] == "done"
        assert crash.ada.saved_text(generation) == crash.prompts[index]
        assert len(asked(crash.site, crash.prompts[index])) == 1
    assert crash.caught_up_after < 15
    told = [m["content"] for m in asked(crash.site, crash.prompts[2])[0]["body"]["messages"]]
    interrupted = crash.ada.saved_text(crash.ada.generation(crash.generations[0]))
    assert told[-5:] == [crash.prompts[0], interrupted, *crash.prompts[1:2] * 2, crash.prompts[2]]


def test_a_key_used_before_the_crash_finds_its_generation_after_it(crash):
    for index, before in enumerate(crash.before):
        again = crash.ask(index)
        assert again["generation"]["id"] == before["generation"]["id"]
        assert again["message"]["id"] == before["message"]["id"]
    refused = crash.ada.post("Other.", conversation=crash.conversation, key=crash.keys[0])
    assert refused.status_code == 409
    assert len(asked(crash.site, crash.prompts[0])) == 1
    assert len(crash.ada.messages(crash.conversation)) == 6


def test_stop_of_what_a_crash_ended_returns_that_end(crash):
    assert crash.ada.stop(crash.generations[0])["status"] == "interrupted"


def test_nothing_is_left_running(crash):
    for generation in crash.generations[1:]:
        crash.ada.ended(crash.ada.generation(generation))
    with crash.ada.socket() as socket:
        assert socket.wait("hello")["running"] == []


def test_a_site_told_to_end_saves_what_is_running():
    with site_with_people() as (site, people):
        ada = people.ada
        generation = ada.ask("Count.", model="openai:words:5000@100")
        watcher = Watcher(ada, generation["id"])
        assert site.upstream.wait_for(lambda _: watcher.deltas > 5)
        site.signal(signal.SIGTERM)
        site.wait()
        watcher.join()
        site.start()
        found = ada.generation(generation["id"])
        assert found["status"] == "interrupted"
        assert ada.saved_text(found).startswith(watcher.text)

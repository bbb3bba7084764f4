"""Stop: idempotent, durable, heard by the model server, the same for all who watch."""

import time
from contextlib import ExitStack

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import asked
from tests.guarantees.test_accept import in_threads, unique
from tests.upstream import words_text

SOON = 0.25  # Seconds from the request to stop until the model server sees it.


def closed_after(site, entry, since: float) -> float:
    """Wait until the model server has seen the end of its connection; return how long it took."""
    assert site.upstream.wait_for(lambda _: entry["closed"] is not None), "never closed"
    return entry["closed"] - since


@pytest.mark.parametrize("transport", ["socket", "api"])
def test_stop_closes_the_connection_to_the_model_at_once(ada, site, transport):
    prompt = unique("Go on.")
    generation = ada.ask(prompt, model="openai:infinite@50")
    with ada.socket() as socket, ada.follow(generation["id"]) as stream:
        seen = iter(stream)
        events = [next(seen) for _ in range(4)]
        (entry,) = asked(site, prompt)
        assert entry["closed"] is None
        started = time.monotonic()
        if transport == "api":
            assert ada.stop(generation["id"])["status"] == "stopped"
        else:
            socket.send("stop", generation=generation["id"])
        assert closed_after(site, entry, started) <= SOON
        events += seen
    check_log(events)
    assert events[-1].kind == "stopped"
    ended = ada.generation(generation["id"])
    assert (ended["status"], ended["cursor"]) == ("stopped", len(events))
    assert ada.saved_text(ended) == text_of(events)
    assert words_text(10_000).startswith(text_of(events))
    assert ada.streamed(generation["id"]) == events


def test_e12_all_tabs_agree_on_a_stop_from_another_transport(ada):
    generation = ada.ask("Go on.", model="openai:infinite@50")["id"]
    with ExitStack() as stack:
        tabs = [stack.enter_context(ada.socket()) for _ in range(3)]
        for tab in tabs:
            tab.send("follow", generation=generation, after=0)
            next(tab.batches(generation))
        tabs[0].send("follow", generation=generation, after=0)
        ada.stop(generation)
        whole = ada.streamed(generation)
        for tab in tabs[1:]:
            got = tab.events(generation)
            assert got == whole[got[0].cursor - 1 :]
    check_log(whole)


def test_e12_twenty_stops_at_once_end_it_once(ada, site):
    prompt = unique("Go on.")
    generation = ada.ask(prompt, model="openai:infinite@50")["id"]
    with ada.follow(generation) as stream:
        assert any(event.kind == "delta" for event in stream)
    with ada.socket() as socket:

        def by_socket():
            for _ in range(10):
                socket.send("stop", generation=generation)

        *answers, _ = in_threads(*[lambda: ada.stop(generation)] * 10, by_socket)
        assert socket.ping() < 2
        assert not [frame for frame, _ in socket.pending if frame["type"] == "error"]
    assert all(answer == answers[0] for answer in answers)
    events = ada.streamed(generation)
    check_log(events)
    assert answers[0]["status"] == "stopped"
    assert answers[0]["cursor"] == len(events)
    assert len(asked(site, prompt)) == 1
    assert ada.stop(generation) == answers[0]


def test_e12_stop_that_races_the_end_gives_one_end(ada):
    kinds = set()
    for attempt in range(24):
        generation = ada.ask("Short.", model="openai:words:4")["id"]
        time.sleep(attempt * 0.004)  # Spread over the life of a short answer.
        answer = ada.stop(generation)
        events = ada.streamed(generation)
        check_log(events)
        assert answer["status"] == events[-1].kind
        assert answer["cursor"] == len(events)
        assert ada.saved_text(answer) == text_of(events)
        kinds.add(events[-1].kind)
    assert kinds <= {"stopped", "done"}


def test_stop_after_the_end_returns_the_end(ada):
    ended = ada.ended(ada.ask("Short.", model="openai:words:4"))
    assert ada.stop(ended["id"]) == ended
    with ada.socket() as socket:
        socket.send("stop", generation=ended["id"])
        socket.ping()
        assert {frame["type"] for frame, _ in socket.pending} <= {"hello"}


def test_the_next_prompt_starts_when_one_is_stopped(ada):
    conversation = ada.conversation()
    running = ada.ask("Go on.", conversation=conversation, model="openai:infinite@50")
    queued = ada.ask("Next.", conversation=conversation, model="openai:words:3")
    assert queued["status"] == "queued"
    ada.stop(running["id"])
    assert ada.ended(queued)["status"] == "done"


@pytest.mark.parametrize("follows", [True, False])
def test_a_socket_closes_at_once(ada, follows):
    generation = ada.ask("Go on.", model="openai:infinite@50")["id"]
    with ada.socket() as socket:
        if follows:
            socket.send("follow", generation=generation)
            next(socket.batches(generation))
        socket.ping()
        started = time.monotonic()
        socket.connection.close()
        assert time.monotonic() - started < 1
        assert socket.connection.close_code == 1000
    assert ada.stop(generation)["status"] == "stopped"

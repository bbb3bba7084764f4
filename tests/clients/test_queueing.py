"""Prompts that are sent while an answer is written; numbers are those of the rules 3.4."""

import json
import time
from collections.abc import Iterator
from itertools import groupby

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import People, site_with_people
from tests.servers import DaphneSite, Site, UvicornSite

PROMPTS = ["A first prompt", "A second one", "A third"]
# Goes on until it is stopped, so whatever happens meanwhile has not waited for its end.
ENDLESS = "infinite@50"
LIMIT = 4


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Site, People]]:
    with site_with_people(kind=request.param, CHAT_QUEUE_LIMIT=str(LIMIT)) as served:
        yield served


def send_at_once(socket, prompts, *, conversation):
    """Send prompts without waiting for any frame and return their ``accepted`` frames."""
    ids = [socket.submit(text, conversation=conversation) for text in prompts]
    return [socket.wait("accepted", id=each) for each in ids]


def wait_for_words(socket, generation):
    """Only then has the model been asked, and what it is scripted to say next is for another."""
    assert any(text_of(batch) for batch in socket.batches(generation))


def generations(accepted):
    return [frame["generation"] for frame in accepted]


def histories(site):
    """Return what the model was told with each prompt, without the site's own words."""
    return [
        [(message["role"], message["content"]) for message in entry["body"]["messages"][1:]]
        for entry in site.upstream.journal
    ]


def turns(prompts, answers):
    """Return what is told with each prompt: all that was said before it, and itself."""
    said: list[tuple[str, str]] = []
    for prompt, answer in zip(prompts, answers, strict=True):
        said.append(("user", prompt))
        yield list(said)
        said.append(("assistant", answer))


def test_3_4_each_prompt_is_acknowledged_at_once_with_its_place(site, ada):
    site.upstream.script(ENDLESS)
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        assert [frame["position"] for frame in accepted] == [0, 1, 2]
        assert len({frame["answer"] for frame in accepted}) == 3
        first, *waiting = generations(accepted)
        assert ada.generation(first)["status"] == "running"
        assert [ada.generation(each)["status"] for each in waiting] == ["queued", "queued"]
        for each in (*reversed(waiting), first):
            ada.stop(each)


def test_3_4_answers_come_in_the_order_of_their_prompts_one_at_a_time(site, ada):
    with ada.socket() as socket:
        sent = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        order = generations(sent)
        seen = []
        while (order[-1], "done") not in seen:
            frame = socket.wait("events")
            seen += [(frame["generation"], event["kind"]) for event in frame["events"]]
    assert [step for step, _ in groupby(seen)] == [
        (each, kind) for each in order for kind in ("started", "delta", "done")
    ]


def test_3_4_each_history_has_all_that_was_said_before(site, ada):
    site.upstream.script("words:5", "echo", "words:7")
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        logs = [socket.events(each) for each in generations(accepted)]
    for log in logs:
        check_log(log)
    assert histories(site) == list(turns(PROMPTS, [text_of(log) for log in logs]))


def test_3_4_events_say_which_answer_they_belong_to(site, ada):
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        for prompt, frame in zip(PROMPTS, accepted, strict=True):
            started, *_ = events = socket.events(frame["generation"])
            assert json.loads(started.data)["message"] == frame["answer"]
            assert text_of(events)
            assert ada.saved_text(ada.generation(frame["generation"])) == text_of(events)
            assert prompt in [row["text"] for row in ada.messages(frame["conversation"])]


def test_3_4_one_that_waits_is_removed_while_another_is_written(site, ada):
    site.upstream.script(ENDLESS, "echo")
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        first, second, third = generations(accepted)
        wait_for_words(socket, first)
        socket.send("stop", generation=second)
        (end,) = socket.events(second)
        assert (end.kind, end.fields["length"]) == ("stopped", 0)
        assert ada.generation(first)["status"] == "running"
        assert ada.generation(third)["status"] == "queued"
        socket.send("stop", generation=first)
        written = socket.events(first)
        socket.events(third)
    told = turns([PROMPTS[0], PROMPTS[2]], [ada.saved_text(ada.generation(first)), PROMPTS[2]])
    assert written[-1].kind == "stopped"
    assert histories(site) == list(told)


def test_3_4_one_that_is_written_is_stopped_and_the_next_begins(site, ada):
    site.upstream.script(ENDLESS, "echo")
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS[:2], conversation=ada.conversation())
        first, second = generations(accepted)
        wait_for_words(socket, first)
        socket.send("stop", generation=first)
        assert socket.events(first)[-1].kind == "stopped"
        assert text_of(socket.events(second)) == PROMPTS[1]


@pytest.mark.parametrize("mode", ["status:401", "error-after:3"])
def test_3_4_a_failed_answer_does_not_stop_the_queue(site, ada, mode):
    site.upstream.script(mode, "echo", "echo")
    with ada.socket() as socket:
        accepted = send_at_once(socket, PROMPTS, conversation=ada.conversation())
        logs = [socket.events(each) for each in generations(accepted)]
    assert [log[-1].kind for log in logs] == ["failed", "done", "done"]
    assert [text_of(log) for log in logs[1:]] == PROMPTS[1:]


def test_3_4_the_queue_is_bounded_and_says_so(site, ada):
    site.upstream.script(ENDLESS)
    conversation = ada.conversation()
    with ada.socket() as socket:
        accepted = send_at_once(socket, ["Again"] * (LIMIT + 1), conversation=conversation)
        assert [frame["position"] for frame in accepted] == list(range(LIMIT + 1))
        refused = socket.wait("error", id=socket.submit("Too many", conversation=conversation))
        assert (refused["code"], refused["retryable"]) == ("queue_full", True)
        assert len(ada.messages(conversation)) == 2 * (LIMIT + 1)
        for each in reversed(generations(accepted)):
            ada.stop(each)


def test_3_4_another_conversation_does_not_wait(site, ada):
    site.upstream.script(ENDLESS)
    with ada.socket() as socket:
        busy = socket.ask("Go on", conversation=ada.conversation())
        wait_for_words(socket, busy["generation"])
        began = time.monotonic()
        other = socket.ask("A word", conversation=ada.conversation())
        assert other["position"] == 0
        assert socket.events(other["generation"])[-1].kind == "done"
        assert time.monotonic() - began < 20
        assert ada.generation(busy["generation"])["status"] == "running"
        ada.stop(busy["generation"])

"""Going on from an answer that broke off: over each transport, and through a crash."""

from itertools import islice
from uuid import uuid4

import pytest

from chat.generations.continued import INSTRUCTION
from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import asked, site_with_people
from tests.guarantees.test_accept import unique
from tests.upstream import words_text

OLD, NEW = words_text(3), words_text(5)


def broken_off(person, **fields):
    generation = person.ended(person.ask(unique("Count."), model="openai:eof-after:3", **fields))
    assert (generation["status"], person.saved_text(generation)) == ("failed", OLD)
    return generation


def path_of(generation):
    return f"/messages/{generation['message']}/continue/"


def check_whole(person, generation, cut):
    """Check that an answer has the old text and the new, and stands beside the old one."""
    events = person.streamed(generation["id"])
    check_log(events)
    assert events[0].fields["continues"] == cut["message"]
    assert events[0].fields["kept"] == len(OLD)
    assert text_of(events) == OLD + NEW
    assert text_of(events[:2]) == OLD
    found = person.ended(generation)
    assert found["continues"] == cut["id"]
    rows = {row["id"]: row for row in person.messages(cut["conversation"])}
    assert rows[found["message"]]["parent"] == rows[cut["message"]]["parent"]
    assert rows[cut["message"]]["text"] == OLD
    return events


def test_over_http(ada):
    cut = broken_off(ada)
    body, key = {"model": "openai:words:5"}, {"Idempotency-Key": str(uuid4())}
    answer = ada.http.post(path_of(cut), json=body, headers=key)
    assert answer.status_code == 202
    generation = answer.json()["generation"]
    events = check_whole(ada, generation, cut)
    again = ada.http.post(path_of(cut), json=body, headers=key)
    assert again.json()["generation"]["id"] == generation["id"]
    # The same as an event stream, and by long-poll.
    stream = {"Accept": "text/event-stream"} | key
    with ada.stream(path_of(cut), method="POST", headers=stream, **body) as followed:
        assert list(followed) == events
    assert ada.polled(generation["id"]) == events
    other = ada.http.post(path_of(cut).replace("continue", "regenerate"), json=body, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


def test_over_the_socket(ada):
    cut = broken_off(ada)
    with ada.socket() as socket:
        name = str(uuid4())
        socket.send("continue", id=name, message=cut["message"], model="openai:words:5")
        accepted = socket.wait("accepted", id=name)
        events = socket.events(accepted["generation"])
        generation = ada.generation(accepted["generation"])
        assert accepted["answer"] == generation["message"]
        assert check_whole(ada, generation, cut) == events


def test_what_did_not_break_off_is_refused_on_either(ada, bob):
    whole = ada.ended(ada.ask("Count.", model="openai:words:3"))
    answer = ada.http.post(path_of(whole), json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "not_continuable")
    with ada.socket() as socket:
        socket.send("continue", id="again", message=whole["message"])
        error = socket.wait("error", id="again")
        assert (error["code"], error["retryable"]) == ("not_continuable", False)
        socket.send("continue", id="agent", message=whole["message"], agent="router")
        assert socket.wait("error")["code"] == "bad_request"
    assert ada.http.post(path_of(whole), json={"agent": ""}).status_code == 400
    assert bob.http.post(path_of(whole), json={}).status_code == 404


def test_an_agents_answer_is_refused(ada):
    stopped = ada.ask("Count.", agent="router", model="openai:hang-after:3")
    with ada.follow(stopped["id"]) as stream:
        next(iter(stream))
    stopped = ada.stop(stopped["id"])
    answer = ada.http.post(path_of(stopped), json={})
    assert answer.status_code == 409
    assert "agent" in answer.json()["error"]["message"]


def test_a_model_that_is_named_answers_this_time_only(ada):
    cut = broken_off(ada)
    check_whole(
        ada,
        ada.http.post(path_of(cut), json={"model": "openai:words:5"}).json()["generation"],
        cut,
    )
    follows = ada.ask("Go on.", conversation=cut["conversation"])
    assert follows["model"] not in ("openai:words:5", cut["model"])
    ada.stop(follows["id"])


@pytest.mark.parametrize("script", ["hang-before-headers", "hang-after:5"])
def test_a_crash_keeps_the_old_text_once(script):
    with site_with_people() as (site, people):
        ada = people.ada
        cut = broken_off(ada)
        site.upstream.script(script, "words:5")
        answer = ada.http.post(path_of(cut), json={"model": "openai:words:5"})
        generation = answer.json()["generation"]
        wanted = 2 if script == "hang-before-headers" else 3
        with ada.follow(generation["id"]) as stream:
            seen = list(islice(stream, wanted))
        assert text_of(seen).startswith(OLD)
        assert site.upstream.wait_for(lambda _: asked(site, INSTRUCTION))
        site.kill()
        site.start()
        found = ada.ended(ada.generation(generation["id"]))
        events = ada.streamed(generation["id"])
        assert events[: len(seen)] == seen
        if script == "hang-before-headers":
            check_whole(ada, found, cut)
        else:
            assert found["status"] == "interrupted"
            assert ada.saved_text(found).startswith(text_of(seen))
        prompts = asked(site, INSTRUCTION)
        assert len(prompts) == (2 if script == "hang-before-headers" else 1)

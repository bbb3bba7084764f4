"""E10: what readers get once the log of an ended answer is no longer kept."""

import time
from uuid import uuid4

import pytest

from tests.guarantees.sites import asked, site_with_people
from tests.upstream import words_text


@pytest.fixture(scope="module")
def fay():
    """Somebody on a site that forgets events at once."""
    with site_with_people(CHAT_RETENTION_SECONDS="0.5") as (_, people):
        yield people.ada


@pytest.fixture(scope="module")
def expired(fay):
    """A generation whose events have expired, and the request that asked for it."""
    request = {"text": f"Count. {uuid4().hex[:8]}", "model": "openai:words:9"}
    request |= {"conversation": fay.conversation(), "key": str(uuid4())}
    generation = fay.post(**request).raise_for_status().json()["generation"]
    deadline = time.monotonic() + 10
    while fay.poll(generation["id"]).status_code != 410 and time.monotonic() < deadline:
        time.sleep(0.05)
    return generation["id"], request


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_e10_expired_events_are_said_to_be_expired(fay, expired, after, accept):
    path = f"/generations/{expired[0]}/events/"
    answer = fay.http.get(path, headers={"Accept": accept, "Last-Event-ID": str(after)})
    assert answer.status_code == 410
    error = answer.json()["error"]
    assert (error["code"], error["retryable"]) == ("events_expired", False)
    with fay.socket() as socket:
        socket.send("follow", generation=expired[0], after=after)
        assert socket.wait("error", generation=expired[0])["code"] == "events_expired"


def test_e10_the_saved_message_stays(fay, expired):
    generation = fay.generation(expired[0])
    assert generation["status"] == "done"
    assert generation["cursor"] > 2
    assert fay.saved_text(generation) == words_text(9)
    assert fay.stop(expired[0]) == generation


def test_e10_the_same_key_does_not_ask_again_when_events_have_expired(fay, expired):
    generation, request = expired
    assert fay.post(**request).json()["generation"]["id"] == generation
    path = f"/conversations/{request['conversation']}/messages/"
    body = {"text": request["text"], "model": request["model"]}
    headers = {"Accept": "text/event-stream", "Idempotency-Key": request["key"]}
    streamed = fay.http.post(path, json=body, headers=headers)
    assert (streamed.status_code, streamed.json()["error"]["code"]) == (410, "events_expired")
    assert len(asked(fay.site, request["text"])) == 1

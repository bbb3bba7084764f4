"""The queue over the API and the WebSocket, on a site with a scripted model."""

import json
import time
from uuid import uuid4

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers import Site


@pytest.fixture(scope="module")
def headers(live_site: Site):
    live_site.create_user("quinn")
    return {"Authorization": f"Bearer {live_site.create_api_key('quinn')}"}


@pytest.fixture
def api(live_site: Site, headers):
    live_site.upstream.reset()
    with httpx.Client(base_url=f"{live_site.url}/api/v1", headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def waiting(api, live_site: Site):
    """A conversation with an answer being written, and the generations of three more prompts."""
    live_site.upstream.script("words:400@40", "words:2", "words:2", "words:2")
    conversation = api.post("/conversations/", json={}).json()["id"]
    sent = [
        api.post(f"/conversations/{conversation}/messages/", json={"text": text}).json()
        for text in "abcd"
    ]
    running, *queued = (each["generation"]["id"] for each in sent)
    yield conversation, running, queued
    for each in reversed(queued):
        api.post(f"/generations/{each}/stop/")
    api.post(f"/generations/{running}/stop/")


def texts(answer):
    assert answer.status_code == 200, answer.text
    return [item["text"] for item in answer.json()["items"]]


def test_the_queue_is_read_moved_and_changed(api, waiting):
    conversation, running, queued = waiting
    assert texts(api.get(f"/conversations/{conversation}/queue/")) == ["b", "c", "d"]
    assert texts(api.patch(f"/generations/{queued[2]}/", json={"place": 1})) == ["d", "b", "c"]
    answer = api.patch(f"/generations/{queued[0]}/", json={"text": "B", "place": 3})
    assert texts(answer) == ["d", "c", "B"]
    places = [(item["generation"], item["place"]) for item in answer.json()["items"]]
    assert places == [(queued[2], 1), (queued[1], 2), (queued[0], 3)]
    for change in ({"place": 0}, {"text": "  "}, {"place": "1"}, {"more": 1}):
        assert api.patch(f"/generations/{queued[0]}/", json=change).status_code == 400
    refused = api.patch(f"/generations/{running}/", json={"place": 2})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_queued")
    assert api.patch(f"/generations/{uuid4()}/", json={"place": 2}).status_code == 404


def test_what_is_withdrawn_gives_its_text_back_once(api, waiting):
    conversation, _, queued = waiting
    taken = api.post(f"/generations/{queued[1]}/withdraw/")
    assert taken.json() == {"generation": queued[1], "text": "c"}
    assert api.post(f"/generations/{queued[1]}/withdraw/").status_code == 409
    assert texts(api.get(f"/conversations/{conversation}/queue/")) == ["b", "d"]


def test_what_is_sent_now_runs_next_below_the_stopped_answer(api, waiting, live_site: Site):
    _, running, queued = waiting
    assert live_site.upstream.wait_for(lambda journal: len(journal) == 1)
    api.post(f"/generations/{queued[2]}/send-now/")
    assert api.get(f"/generations/{running}/").json()["status"] == "stopped"
    assert live_site.upstream.wait_for(lambda journal: len(journal) == 4, timeout=15)
    asked = [entry["body"]["messages"][-1]["content"] for entry in live_site.upstream.journal]
    assert asked == ["a", "d", "b", "c"]


def test_frames_do_the_same_and_every_socket_hears_of_it(api, waiting, live_site, headers):
    conversation, running, queued = waiting
    address = f"{live_site.ws_url}/ws/chat/"
    with (
        connect(address, additional_headers=headers) as one,
        connect(address, additional_headers=headers) as two,
    ):
        for socket in (one, two):
            assert json.loads(socket.recv(timeout=10))["type"] == "hello"
        one.send(json.dumps({"type": "change", "generation": queued[2], "place": 1}))
        one.send(json.dumps({"type": "withdraw", "generation": queued[0]}))
        for socket in (one, two):
            assert [queue_news(socket, conversation) for _ in range(2)] == [3, 2]
        one.send(json.dumps({"type": "change", "generation": running, "text": "x"}))
        error = next_frame(one, "error")
        assert (error["code"], error["generation"]) == ("not_queued", running)
        assert texts(api.get(f"/conversations/{conversation}/queue/")) == ["d", "c"]
        two.send(json.dumps({"type": "send_now", "generation": queued[1]}))
        assert next_frame(one, "conversation", running=queued[1])


def next_frame(socket, kind, **fields):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        frame = json.loads(socket.recv(timeout=15))
        if frame["type"] == kind and all(frame.get(name) == fields[name] for name in fields):
            return frame
    raise AssertionError(f"No {kind} frame came.")


def queue_news(socket, conversation):
    while True:
        frame = next_frame(socket, "conversation", id=conversation)
        if "queue" in frame:
            return frame["queue"]

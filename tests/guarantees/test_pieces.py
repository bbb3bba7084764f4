"""B17, B19: bytes cut anywhere, events of any size, and what becomes of both."""

import time

import httpx
import pytest

from tests.guarantees.clients import API, Person, check_log
from tests.guarantees.processes import rss, warmed_rss
from tests.guarantees.readers import EventStreamParser, text_of
from tests.proxy import Proxy
from tests.upstream import FakeUpstream

MIB = 1 << 20
MAX_EVENT_CHARS = 16_384
MAX_ANSWER_BYTES = 4 * MIB

ODD = "Grüße, 世界 👋🏽.\r\n\u2028event: end\n\n"


class Through:
    """A site as it is reached through a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self.port = proxy.port
        self.url = f"http://127.0.0.1:{proxy.port}"
        self.ws_url = f"ws://127.0.0.1:{proxy.port}"


@pytest.fixture
def recut(any_site, any_ada, request):
    with Proxy(any_site.port, seed=17) as proxy:
        person = Person(Through(proxy), name="ada", key=any_ada.key, session=any_ada.session)
        person.http.timeout = 60
        yield person, proxy
        person.http.close()


@pytest.mark.parametrize("most", [1, 3, 61])
@pytest.mark.parametrize(
    "text", ["Grüße, 世界 👋🏽.\r\n\u2028event: end\n\n", "a"], ids=["odd", "plain"]
)
def test_b17_bytes_cut_at_random_are_put_together_again(recut, any_ada, most, text):
    person, proxy = recut
    proxy.cut = most
    prompt = text * (20 if most < 61 else 100)
    with person.socket() as socket:
        accepted = socket.ask(prompt, model="openai:echo")
        events = socket.events(accepted["generation"])
    check_log(events)
    assert text_of(events) == prompt.strip("\n") or text_of(events) == prompt
    streamed = person.streamed(accepted["generation"])
    assert (
        streamed
        == [event for event in events if event.cursor]
        == person.polled(accepted["generation"])
    )
    assert any_ada.streamed(accepted["generation"]) == streamed


def test_b17_a_model_server_behind_such_a_line_is_understood(any_site, any_ada, site_factory):
    with FakeUpstream() as upstream, Proxy(upstream.port, seed=3) as proxy:
        proxy.cut = 5
        site = site_factory(
            type(any_site), env={"OPENAI_BASE_URL": f"http://127.0.0.1:{proxy.port}/v1"}
        )
        site.create_user("ada")
        headers = {"Authorization": f"Bearer {site.create_api_key('ada')}"}
        with httpx.Client(base_url=site.url + API, headers=headers, timeout=60) as client:
            conversation = client.post("/conversations/", json={}).json()["id"]
            body = {"text": "Grüße, 世界 👋🏽 " * 20, "model": "openai:echo"}
            path = f"/conversations/{conversation}/messages/"
            generation = client.post(path, json=body).json()["generation"]["id"]
            events = client.get(f"/generations/{generation}/events/").content
        found = EventStreamParser().feed(events)
        check_log(found)
        assert text_of(found) == body["text"].strip() or text_of(found) == body["text"]


# B19 ------------------------------------------------------------------------------


def test_b19_an_event_of_twenty_megabytes_is_split_and_capped(any_site, any_ada):
    generation = any_ada.ask("Speak.", model="openai:big:20000000")
    events = any_ada.streamed(generation["id"])
    check_log(events)
    assert all(
        len(event.fields["text"]) <= MAX_EVENT_CHARS for event in events if event.kind == "delta"
    )
    assert len(text_of(events).encode()) <= MAX_ANSWER_BYTES
    assert (events[-1].kind, events[-1].fields["code"]) in (
        ("failed", "too_long"),
        ("failed", "upstream_protocol"),
    )
    found = any_ada.generation(generation["id"])
    assert any_ada.saved_text(found) == text_of(events)


def test_b19_a_large_event_within_the_cap_is_split_into_small_ones(any_ada):
    generation = any_ada.ask("Speak.", model="openai:big:1000000")
    events = any_ada.streamed(generation["id"])
    check_log(events)
    deltas = [event for event in events if event.kind == "delta"]
    assert [len(event.fields["text"]) for event in deltas[:-1]] == [MAX_EVENT_CHARS] * 61
    assert text_of(events) == "x" * 1_000_000


@pytest.mark.parametrize("number", [100_000, pytest.param(1_000_000, marks=pytest.mark.faults)])
def test_b19_events_of_one_byte_are_coalesced(any_site, any_ada, number):
    before = warmed_rss(any_ada)
    any_site.upstream.script(f"text:{'y' * number}")
    started = time.monotonic()
    generation = any_ada.ask("Count.")
    with any_ada.socket() as other:
        slowest = 0.0
        while any_ada.generation(generation["id"])["status"] in ("queued", "running"):
            slowest = max(slowest, other.ping())
            assert time.monotonic() - started < 300
            time.sleep(0.2)
    events = any_ada.streamed(generation["id"])
    check_log(events)
    assert text_of(events) == "y" * number
    assert len(events) < number / 20
    assert slowest < 1
    assert rss(any_site) - before < 64 * MIB

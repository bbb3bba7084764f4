"""The site's event streams, with real clients of them; numbers are those of the checklist 6.3."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.guarantees.clients import API, Person, check_log
from tests.guarantees.readers import Event, EventStreamParser, text_of
from tests.proxy import Proxy
from tests.upstream import words_text

SSE = {"Accept": "text/event-stream"}
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
# Good enough to be called at once; the best of some tries must be.
AT_ONCE = 0.05
TRIES = 10


def read_again(ada: Person, model: str) -> httpx.Request:
    generation = ada.ask("Hello", model=f"openai:{model}")["id"]
    return ada.http.build_request("GET", f"/generations/{generation}/events/", headers=SSE)


def ask(ada: Person, model: str) -> httpx.Request:
    path = f"/conversations/{ada.conversation()}/messages/"
    body = {"text": "Hello", "model": f"openai:{model}"}
    return ada.http.build_request("POST", path, json=body, headers=SSE)


def complete(ada: Person, model: str) -> httpx.Request:
    url = f"{ada.site.url}/v1/chat/completions"
    return ada.http.build_request("POST", url, json=HELLO | {"model": f"openai:{model}"})


def raw_get(path: str) -> Callable[[Person, str], httpx.Request]:
    def request_to(ada: Person, model: str) -> httpx.Request:
        ada.site.upstream.script(model)  # Here nobody chooses.
        query = {"question": "Hello", "msg": "Hello"}
        return ada.http.build_request("GET", ada.site.url + path, params=query)

    return request_to


def raw_post(ada: Person, model: str) -> httpx.Request:
    ada.site.upstream.script(model)
    url = f"{ada.site.url}/stream-with-post"
    return ada.http.build_request("POST", url, json={"question": "Hello"})


# Every address at which an answer can be read as an event stream, and how such a stream ends.
STREAMS: dict[str, tuple[Callable[[Person, str], httpx.Request], str]] = {
    "native-get": (read_again, "event: done\ndata: {"),
    "native-post": (ask, "event: done\ndata: {"),
    "openai": (complete, "data: [DONE]"),
    "raw-get": (raw_get("/stream-with-get"), "event: done\ndata: \nid: "),
    "raw-post": (raw_post, "event: done\ndata: \nid: "),
    "raw-done": (raw_get("/ask"), "data: [DONE]\nid: "),
}
streams = pytest.mark.parametrize(("request_to", "end"), STREAMS.values(), ids=STREAMS)


@pytest.fixture
def read(ada):
    """A function that sends a request and reads the whole stream that answers it."""

    def read(request: httpx.Request) -> httpx.Response:
        with closing(ada.http.send(request, stream=True)) as response:
            response.read()
            return response

    return read


@streams
def test_6_3_04_a_stream_ends_with_its_terminal_block(ada, read, request_to, end):
    *_, last, rest = read(request_to(ada, "words:3")).text.split("\n\n")
    assert last.startswith(end)
    assert rest == ""


@streams
def test_6_3_05_the_head_of_a_stream_is_what_clients_compare(ada, read, request_to, end):
    request = request_to(ada, "words:3")
    request.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
    response = read(request)
    assert response.status_code == 200
    head = [(name.lower(), value) for name, value in response.headers.raw]
    assert [value for name, value in head if name == b"content-type"] == [b"text/event-stream"]
    fields = dict(head)
    assert fields[b"cache-control"] in {b"no-store, no-transform", b"no-cache, no-transform"}
    assert fields[b"content-encoding"] == b"identity"
    assert fields[b"x-accel-buffering"] == b"no"
    assert b"content-length" not in fields


@streams
def test_6_3_05_the_first_token_is_not_held_back(site, ada, request_to, end):
    def delay() -> float:
        """Return the seconds from the model server, which then says no more, to the client."""
        site.upstream.reset()
        request = request_to(ada, "hang-after:1")
        with closing(ada.http.send(request, stream=True)) as response:
            seen = b""
            for piece in response.iter_raw():
                seen += piece
                if b"word0" in seen:
                    break
            arrived = time.monotonic()
        return arrived - site.upstream.journal[0]["first"]

    assert any(delay() < AT_ONCE for _ in range(TRIES))


# Reading on ------------------------------------------------------------------------


@pytest.fixture
def event_sources(node, ada):
    """A function that lets three EventSources read an address until they close."""

    def run(url: str, *, key=ada.key, session=ada.session) -> list[dict[str, Any]]:
        return node.run("event_source.mjs", url, key, session, flags=["--experimental-eventsource"])

    return run


def events_of(seen: dict[str, Any]) -> list[Event]:
    return [Event(int(cursor), kind, data) for kind, data, cursor in seen["events"]]


def test_6_3_06_an_event_source_reads_on_where_it_was_cut_and_stops_at_the_end(
    site, ada, event_sources
):
    generation = ada.ask("Hello", model="openai:infinite@40")["id"]
    with Proxy(site.port) as proxy, ThreadPoolExecutor(1) as pool:
        url = f"http://127.0.0.1:{proxy.port}{API}/generations/{generation}/events/"
        reading = pool.submit(event_sources, url)
        wait_until(lambda: proxy.connections == 3 and proxy.down.bytes > 6000)
        proxy.reset()  # The network breaks under all three, while there is more to come.
        wait_until(lambda: proxy.accepted == 6)
        ada.stop(generation)
        found = reading.result()
    assert {seen["client"] for seen in found} == {"eventsource", "undici", "node"}
    written = ada.streamed(generation)
    for seen in found:
        events = events_of(seen)
        check_log(events)
        assert events == written
        first, cut, last = seen["requests"]
        assert first is None
        assert int(cut) < int(last) == written[-1].cursor
        assert seen["opened"] == 2  # The last was answered 204.
    assert len(site.upstream.journal) == 1


def wait_until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_6_3_06_what_is_asked_for_from_a_cursor_is_the_rest_exactly(ada, read):
    generation = ada.ask("Hello", model="openai:words:20")
    ada.ended(generation)
    path = f"/generations/{generation['id']}/events/"
    whole = read(ada.http.build_request("GET", path)).content
    blocks = [block + b"\n\n" for block in whole.split(b"\n\n")[:-1]]
    for cursor in range(len(blocks)):
        headers = {"Last-Event-ID": str(cursor)}
        rest = read(ada.http.build_request("GET", path, headers=headers))
        assert (rest.status_code, rest.content) == (200, b"".join(blocks[cursor:]))
    over = read(ada.http.build_request("GET", path, headers={"Last-Event-ID": str(len(blocks))}))
    assert (over.status_code, over.content) == (204, b"")


@pytest.mark.parametrize("key", [None, "named"])
def test_6_3_06_a_post_that_has_it_all_is_answered_with_an_empty_stream(site, ada, read, key):
    headers = SSE | ({"Idempotency-Key": key} if key else {})
    path = f"/conversations/{ada.conversation()}/messages/"
    body = {"text": "Hello", "model": "openai:words:3"}

    def post(**more: str) -> httpx.Response:
        return read(ada.http.build_request("POST", path, json=body, headers=headers | more))

    end = EventStreamParser().feed(post().content)[-1]
    again = post(**{"Last-Event-ID": str(end.cursor)})
    assert (again.status_code, again.headers["content-type"]) == (200, "text/event-stream")
    assert again.content == b""
    assert len(site.upstream.journal) == 1


@pytest.mark.parametrize(
    ("options", "requests"),
    [({}, 1), ({"hide": 5}, 2), ({"fail": "done"}, 2)],
    ids=["whole", "hidden", "failed"],
)
def test_6_3_06_a_fetch_event_source_that_posts_again_reads_on(site, ada, node, options, requests):
    conversation = ada.conversation()
    url = f"{site.url}{API}/conversations/{conversation}/messages/"
    body = {"text": "Hello", "model": "openai:words:20@100"}
    (seen,) = node.run("fetch_event_source.mjs", url, ada.key, body, options)
    assert seen["closed"] == 1
    assert len(seen["requests"]) == requests
    events = [Event(int(cursor), kind, data) for kind, data, cursor in seen["messages"]]
    if "fail" in options:  # It has the id of what its page threw away.
        assert [event.kind for event in events][-1] == "delta"
        assert text_of(events) == words_text(20)
    else:
        check_log(events)
    assert len(site.upstream.journal) == 1
    assert [row["role"] for row in ada.messages(conversation)] == ["user", "assistant"]


# What is no stream -------------------------------------------------------------------


@pytest.fixture(scope="module")
def addresses(served):
    """Every address of the API, with ids of ada's, and the methods it is described with."""
    ada = served[1].ada
    generation = ada.ended(ada.ask("Hello", model="openai:words:3"))
    shares = f"/conversations/{generation['conversation']}/shares/"
    file = ada.http.post("/attachments/", files={"file": ("notes.txt", b"A note.")})
    ids = {
        "attachment_id": file.json()["id"],
        "persona_id": ada.http.post("/personas/", json={"name": "Mine."}).json()["id"],
        "share_id": ada.http.post(shares, json={}).json()["id"],
        "generation_id": generation["id"],
        "conversation_id": generation["conversation"],
        "message_id": generation["message"],
    }
    paths = httpx.get(f"{ada.site.url}{API}/openapi.json").json()["paths"]
    assert len(paths) > 7
    return {path.format(**ids): {name.upper() for name in paths[path]} for path in paths}


def test_6_3_07_nothing_is_redirected(site, ada, addresses, read):
    for path, methods in addresses.items():
        if "GET" in methods:
            assert ada.http.get(site.url + path).status_code == 200
    for request_to, _ in STREAMS.values():
        assert not read(request_to(ada, "words:3")).history


def test_6_3_09_an_event_source_that_is_not_let_in_closes(site, ada, bob, event_sources):
    own = ada.ask("Hello", model="openai:words:3")["id"]
    foreign = bob.ask("Hello", model="openai:words:3")["id"]
    refusals = [
        (f"/generations/{own}/events/", {"key": "wrong", "session": "wrong"}, 401),
        (f"/generations/{foreign}/events/", {}, 404),
        (f"/generations/{own}/events/?after=1000", {}, 400),
    ]
    for path, identity, status in refusals:
        key = identity.get("key", ada.key)
        answer = httpx.get(site.url + API + path, headers=SSE | {"Authorization": f"Bearer {key}"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        for seen in event_sources(site.url + API + path, **identity):
            assert (seen["events"], seen["opened"]) == ([], 0)
            # undici sends what is answered 401 once more by itself, in the same breath.
            assert len(seen["requests"]) <= (2 if status == 401 else 1)


def test_6_3_10_head_is_answered_as_get_without_a_body(site, ada, addresses):
    for path, methods in addresses.items():
        head = ada.http.head(site.url + path)
        assert head.content == b""
        if "GET" not in methods:
            assert (head.status_code, "HEAD" in head.headers["allow"]) == (405, False)
            continue
        get = ada.http.get(site.url + path)
        assert (path, head.status_code) == (path, get.status_code)
        for name in ("content-type", "content-length", "cache-control"):
            assert (path, head.headers.get(name)) == (path, get.headers.get(name))
        assert httpx.head(site.url + path).status_code == 401


def test_6_3_10_head_of_a_stream_does_not_wait_for_its_end(ada):
    generation = ada.ask("Hello", model="openai:infinite@20")["id"]
    head = ada.http.head(f"/generations/{generation}/events/", headers=SSE, timeout=5)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
    assert "content-length" not in head.headers
    ada.stop(generation)


def test_6_3_10_options_says_what_an_address_takes(site, addresses):
    dialect = {"/v1/models": {"GET"}, "/v1/models/demo": {"GET"}, "/v1/chat/completions": {"POST"}}
    for path, methods in (addresses | dialect).items():
        answer = httpx.options(site.url + path)
        assert (answer.status_code, answer.content) == (204, b"")
        implied = {"OPTIONS", "HEAD"} if "GET" in methods else {"OPTIONS"}
        assert set(answer.headers["allow"].split(", ")) == methods | implied
    for path, methods in addresses.items():
        unknown = next(name for name in ("PUT", "PATCH") if name not in methods)
        other = httpx.request(unknown, site.url + path)
        assert (other.status_code, other.json()["error"]["code"]) == (405, "method_not_allowed")
        assert set(other.headers["allow"].split(", ")) - {"HEAD", "OPTIONS"} == methods

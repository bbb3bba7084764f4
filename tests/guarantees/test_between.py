"""E02, E14, E15: what stands between the site and its readers, and clients that half leave."""

import socket
import time

import httpx
import pytest

from tests.guarantees.clients import API, EventStream
from tests.guarantees.processes import sockets, wait_until
from tests.guarantees.raw import RawSocket, head, open_raw
from tests.servers import NginxServer, free_port

SITE_ENV = {"CHAT_HEARTBEAT_SECONDS": "0.5"}


# E02 ------------------------------------------------------------------------------


def test_e02_half_closing_a_stream_ends_the_reader_and_not_the_answer(any_site, any_ada):
    generation = any_ada.ask("Count.", model="openai:words:60@20")
    before = sockets(any_site)
    with open_raw(any_site) as connection:
        path = f"{API}/generations/{generation['id']}/events/"
        connection.sendall(head(f"GET {path} HTTP/1.1", f"Authorization: Bearer {any_ada.key}"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: sockets(any_site) <= before + 1)
        assert any_ada.generation(generation["id"])["status"] == "running"
    assert any_ada.ended(generation)["status"] == "done"


def test_e02_half_closing_a_socket_ends_it_and_not_the_answer(any_site, any_ada):
    generation = any_ada.ask("Count.", model="openai:words:40@20")
    before = sockets(any_site)
    with RawSocket(any_ada) as socket_:
        socket_.wait(1, b"hello")
        socket_.connection.shutdown(socket.SHUT_WR)
        wait_until(lambda: sockets(any_site) <= before)
    assert any_ada.ended(generation)["status"] == "done"


# E14 ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def careless(_cell):
    """An nginx that buffers, compresses, cuts idle connections and speaks HTTP/1.0 upstream."""
    port = free_port()
    config = f"""
        gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; gzip_http_version 1.0;
        server {{
            listen 127.0.0.1:{port};
            location / {{ proxy_pass http://127.0.0.1:{_cell[0].port}; proxy_read_timeout 2s; }}
        }}"""
    with NginxServer(config, port=port) as nginx:
        yield nginx


def followed(nginx, person, generation):
    """Yield each event of a generation and when it came."""
    headers = {
        "Authorization": f"Bearer {person.key}",
        "Accept": "text/event-stream",
        "Accept-Encoding": "gzip, br",
    }
    path = f"{nginx.url}{API}/generations/{generation}/events/"
    with httpx.stream("GET", path, headers=headers, timeout=20) as response:
        assert response.status_code == 200
        assert response.headers.get("content-encoding", "identity") == "identity"
        for event in EventStream(response):
            yield event, time.monotonic()


def test_e14_nothing_is_held_back_by_a_proxy_that_buffers_and_compresses(
    any_site, any_ada, careless
):
    for _ in range(3):
        prompt = f"Speak. {time.monotonic_ns()}"
        generation = any_ada.ask(prompt, model="openai:words:30@20")["id"]
        arrived = [(event, at) for event, at in followed(careless, any_ada, generation)]
        (entry,) = [
            entry
            for entry in list(any_site.upstream.journal)
            if entry["body"]["messages"][-1]["content"] == prompt
        ]
        first = next(at for event, at in arrived if event.kind == "delta")
        lag = first - (entry["opened"] + 1 / 20)  # The mode sends its first token after one pause.
        if lag <= 0.2:
            break
    assert lag <= 0.2
    assert sum(event.kind == "delta" for event, _ in arrived) > 10  # One by one, not in the end.


def test_e14_heartbeats_keep_a_quiet_stream_through_it(any_site, any_ada, careless):
    any_site.upstream.script(
        [{"delta": "a"}, {"sleep": 5}, {"delta": "b"}, {"finish": "stop"}, {"done": True}]
    )
    generation = any_ada.ask("Think.")["id"]
    kinds = [event.kind for event, _ in followed(careless, any_ada, generation)]
    assert kinds == ["started", "delta", "delta", "done"]


# E15 ------------------------------------------------------------------------------


@pytest.fixture
def compressing(any_site, site_factory):
    """A site whose operator has switched on all that Django has against large answers."""
    site = site_factory(
        type(any_site),
        env={"DJANGO_SETTINGS_MODULE": "tests.compressing", "CHAT_HEARTBEAT_SECONDS": "0.5"},
    )
    site.create_user("ada")
    return site


def test_e15_compressing_and_caching_middleware_leave_streams_alone(compressing):
    key = compressing.create_api_key("ada")
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip, br"}
    with httpx.Client(base_url=compressing.url + API, headers=headers, timeout=20) as client:
        conversation = client.post("/conversations/", json={}).json()["id"]
        path = f"/conversations/{conversation}/messages/"
        body = {"text": "Count.", "model": "openai:words:40@20"}
        generation = client.post(path, json=body).json()["generation"]["id"]
        bodies = []
        for _ in range(2):  # The second would come out of a cache.
            with client.stream("GET", f"/generations/{generation}/events/") as response:
                assert_untouched(response)
                bodies.append(b"".join(response.iter_raw()))
        assert bodies[0].startswith(b"event: started\n")
        assert b"event: done\n" in bodies[1]
        listed = client.get(path)
        assert listed.headers["content-encoding"] == "gzip"  # They are on, after all.
        polled = client.get(
            f"/generations/{generation}/events/", headers={"Accept": "application/json"}
        )
        assert polled.json()["terminal"]


def assert_untouched(response):
    assert response.headers["content-encoding"] == "identity"
    assert response.headers["content-type"] == "text/event-stream"
    assert "etag" not in response.headers
    assert "last-modified" not in response.headers
    assert {"no-store", "no-transform"} <= set(response.headers["cache-control"].split(", "))


def test_e15_a_stream_comes_piece_by_piece_through_them(compressing):
    key = compressing.create_api_key("ada")
    headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip, br"}
    with httpx.Client(base_url=compressing.url + API, headers=headers, timeout=20) as client:
        conversation = client.post("/conversations/", json={}).json()["id"]
        body = {"text": "Count.", "model": "openai:words:40@20"}
        headers = {"Accept": "text/event-stream"}
        path = f"/conversations/{conversation}/messages/"
        with client.stream("POST", path, json=body, headers=headers) as response:
            assert_untouched(response)
            pieces = [time.monotonic() for _ in response.iter_raw()]
    assert len(pieces) > 10
    assert pieces[-1] - pieces[0] > 1

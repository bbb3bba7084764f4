"""B04, B05, S13, X14: requests that are too long, too slow, ambiguous or not text."""

import json
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.guarantees.clients import API
from tests.guarantees.processes import rss, sockets, spooled, wait_until, warmed_rss
from tests.guarantees.raw import exchange, head, open_raw, read_all, status_of
from tests.servers import NginxServer, free_port

MIB = 1 << 20
PROMPT_BYTES = 65_536
HEAD_SECONDS, BODY_SECONDS = 20, 60  # As the operations guide gives them.


class Watch:
    """The most that a process grew by, and kept in temporary files, while the block ran."""

    def __init__(self, person):
        self.person, self.site = person, person.site

    def __enter__(self):
        self.before = self.peak = warmed_rss(self.person)
        self.spooled = 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.done.wait(0.01):
            self.peak = max(self.peak, rss(self.site))
            self.spooled = max(self.spooled, spooled(self.site))

    def __exit__(self, *exc_info):
        self.done.set()
        self.thread.join(5)

    @property
    def grown(self):
        return self.peak - self.before


def post_head(person, *headers, path=f"{API}/conversations/", line="1.1"):
    return head(
        f"POST {path} HTTP/{line}",
        f"Authorization: Bearer {person.key}",
        "Content-Type: application/json",
        *headers,
    )


# B04 ------------------------------------------------------------------------------


def test_b04_a_prompt_of_the_allowed_length_is_taken_and_one_byte_more_is_not(any_ada):
    conversation = any_ada.conversation()
    for text in ("x" * PROMPT_BYTES, "é" * (PROMPT_BYTES // 2)):
        taken = any_ada.post(text, conversation=conversation, model="openai:words:1")
        assert taken.status_code == 202
        any_ada.ended(taken.json()["generation"])
    for text in ("x" * (PROMPT_BYTES + 1), "é" * (PROMPT_BYTES // 2) + "x"):
        refused = any_ada.post(text, conversation=conversation)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "prompt_too_long")
    with any_ada.socket() as socket:
        socket.submit("x" * (PROMPT_BYTES + 1))
        assert socket.wait("error")["code"] == "prompt_too_long"
        socket.ask("x" * PROMPT_BYTES, model="openai:words:1")


@pytest.mark.parametrize("size", [MIB + 1, 10 * MIB, 300 * MIB, 10**30])
def test_b04_a_body_that_says_it_is_too_long_is_refused_before_it_is_read(any_site, any_ada, size):
    def send(size):
        with open_raw(any_site) as connection:
            connection.sendall(post_head(any_ada, f"Content-Length: {size}", "Connection: close"))
            if size <= 10 * MIB:  # Daphne reads one of moderate length to its end, keeping nothing.
                with suppress(ConnectionError):
                    connection.sendall(b"x" * size)
            return connection.recv(65536)

    send(MIB + 2)  # Code that is read for the first time, and buffers that stay, are not the body.
    with Watch(any_ada) as watch:
        answer = send(size)
    assert status_of(answer) in ((400, 413) if size > 2**63 else (413,))
    assert watch.grown <= 2 * MIB
    assert watch.spooled <= MIB


def chunks(size):
    return b"%x\r\n%b\r\n" % (size, b"x" * size)


@pytest.mark.parametrize("size", [2 * MIB, 300 * MIB])
def test_b04_a_body_of_untold_length_is_cut_off(any_site, any_ada, size):
    def send():
        answer = b""
        with open_raw(any_site) as connection:
            connection.sendall(post_head(any_ada, "Transfer-Encoding: chunked"))
            sent = 0
            with suppress(ConnectionError):
                while sent < size:
                    connection.sendall(chunks(65536))
                    sent += 65536
                connection.sendall(b"0\r\n\r\n")
                answer = connection.recv(65536)
        return sent, answer

    send()
    with Watch(any_ada) as watch:
        sent, answer = send()
    if size < 16 * MIB:
        assert status_of(answer) == 413
    else:
        assert sent < 64 * MIB  # Cut off: 16 MiB, and what the system's buffers hold.
    assert watch.grown <= 3 * MIB
    assert watch.spooled <= MIB


def test_b04_what_follows_an_understated_length_is_not_part_of_the_body(any_site, any_ada):
    body = b'{"title": "short"}'
    request = post_head(any_ada, f"Content-Length: {len(body)}")
    answer = exchange(any_site, request + body + b"x" * 100_000)
    assert status_of(answer) == 201
    assert b'"short"' in answer
    rest = answer.partition(b"\r\n\r\n")[2]
    assert rest.count(b"HTTP/1.1 ") == rest.count(b"HTTP/1.1 400")


# B05 ------------------------------------------------------------------------------


NOT_UTF8 = [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"]


@pytest.mark.parametrize("data", NOT_UTF8)
def test_b05_bytes_that_are_not_text_are_refused_everywhere(any_site, any_ada, data):
    title = b'{"title": "' + data + b'"}'
    refused = any_ada.http.post("/conversations/", content=title)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
    form = b"csrfmiddlewaretoken=" + b"c" * 32 + b"&username=" + data + b"&password=x"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = any_ada.browser.post("/accounts/login/", content=form, headers=headers)
    assert answer.status_code < 500
    quoted = "".join(f"%{byte:02x}" for byte in data)
    for path in (f"/conversations/?q={quoted}", f"/generations/{quoted}/", f"/{quoted}/"):
        assert any_ada.http.get(path).status_code in (200, 400, 404)


PLACES = {
    "query": (b"GET /api/v1/conversations/?q=%b HTTP/1.1\r\n", b""),
    "path": (b"GET /%b HTTP/1.1\r\n", b""),
    "header": (b"GET /accounts/login/ HTTP/1.1\r\n", b"X-Odd: %b\r\n"),
    "accept-language": (b"GET /accounts/login/ HTTP/1.1\r\n", b"Accept-Language: %b\r\n"),
    "cookie": (b"GET /accounts/login/ HTTP/1.1\r\n", b"Cookie: sessionid=%b; csrftoken=%b\r\n"),
    "bearer": (b"GET /api/v1/conversations/ HTTP/1.1\r\n", b"Authorization: Bearer %b\r\n"),
    "content-type": (b"POST /api/v1/conversations/ HTTP/1.1\r\n", b"Content-Type: %b\r\n"),
    "content-length": (b"POST /api/v1/conversations/ HTTP/1.1\r\n", b"Content-Length: %b\r\n"),
    "last-event-id": (b"GET /api/v1/conversations/ HTTP/1.1\r\n", b"Last-Event-ID: %b\r\n"),
    "idempotency-key": (b"POST /api/v1/conversations/ HTTP/1.1\r\n", b"Idempotency-Key: %b\r\n"),
}


@pytest.mark.parametrize("data", NOT_UTF8)
@pytest.mark.parametrize("place", PLACES)
def test_b05_raw_bytes_in_a_request_are_never_an_error_of_ours(any_site, any_ada, place, data):
    line, extra = PLACES[place]
    request = line.replace(b"%b", data) + b"Host: 127.0.0.1\r\n"
    if place not in ("bearer", "cookie"):
        request += f"Authorization: Bearer {any_ada.key}\r\n".encode()
    request += extra.replace(b"%b", data) + b"Connection: close\r\n\r\n"
    answer = exchange(any_site, request)
    assert status_of(answer) < 500
    assert b"Traceback" not in answer


# S13 ------------------------------------------------------------------------------


SPOOFED = {
    "forwarded-host": ["X-Forwarded-Host: evil.test"],
    "forwarded": ["Forwarded: host=evil.test;proto=https;for=1.2.3.4"],
    "forwarded-proto": ["X-Forwarded-Proto: https"],
    "forwarded-port": ["X-Forwarded-Port: 444"],
    "original-url": ["X-Original-URL: /admin/", "X-Rewrite-URL: /admin/"],
    "script-name": ["Script-Name: /evil", "X-Script-Name: /evil", "SCRIPT_NAME: /evil"],
    "root-path": ["Daphne-Root-Path: /evil"],
    "root-path-spelt-otherwise": ["DAPHNE-ROOT-PATH: /evil", "Daphne_Root_Path: /evil"],
    "method": ["X-HTTP-Method-Override: DELETE", "X-Method-Override: POST"],
    "user": ["Remote-User: root", "X-Remote-User: root", "REMOTE_USER: root"],
}


@pytest.mark.parametrize("headers", SPOOFED.values(), ids=SPOOFED)
def test_s13_headers_of_a_proxy_change_nothing_when_a_client_sends_them(any_site, headers):
    def ask(path, *more):
        """From an address that is no proxy's, and with a body that says where it leads."""
        request = head(f"GET {path} HTTP/1.1", "Connection: close", *more)
        answer = exchange(any_site, request, source="127.0.0.2")
        top, _, body = answer.partition(b"\r\n\r\n")
        location = [line for line in top.lower().split(b"\r\n") if line.startswith(b"location")]
        return status_of(answer), location, len(body), b"/evil" in answer, b"evil.test" in answer

    for path in ("/", "/accounts/login/", "/admin/"):
        plain = ask(path)
        assert plain[0] in (200, 302)
        assert ask(path, *headers) == plain


@pytest.mark.parametrize("spelt", ["AUTHORIZATION_", "X_CSRFTOKEN", "Sec_Fetch_Site"])
def test_s13_an_underscore_is_no_dash(any_site, any_ada, spelt):
    """Else a header that a proxy strips comes in under another spelling."""
    request = head(
        f"POST {API}/conversations/ HTTP/1.1",
        f"Cookie: sessionid={any_ada.session}; csrftoken={'c' * 32}",
        f"{spelt}: {'c' * 32}",
        "Content-Type: application/json",
        "Content-Length: 2",
        "Connection: close",
    )
    assert status_of(exchange(any_site, request + b"{}")) == 403


# X14 ------------------------------------------------------------------------------


def drip(connection, data, *, seconds, pause=0.5):
    """Send a byte at a time, until cut off; return how long that took."""
    started = time.monotonic()
    connection.settimeout(pause)
    position = 0
    while time.monotonic() - started < seconds:
        try:
            connection.sendall(data[position % len(data) :][:1])
            position += 1
            if connection.recv(65536) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - started


def test_x14_requests_that_never_end_are_cut_off_and_cost_nobody(any_site, any_ada):
    before = sockets(any_site)
    longest = HEAD_SECONDS + 25  # Daphne asks politely first, and hangs up 15 s later.
    opening = {
        "bare": b"",
        "half a line": b"GET / HT",
        "half a head": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b\r\n",
    }
    took = {}

    def attack(name, start):
        with open_raw(any_site) as connection:
            connection.sendall(start)
            rest = b"" if name == "bare" else b"X-Slow: a\r\n"
            if rest:
                took[name] = drip(connection, rest, seconds=longest)
            else:
                connection.settimeout(longest)
                begun = time.monotonic()
                with suppress(ConnectionError):
                    connection.recv(1)
                took[name] = time.monotonic() - begun

    threads = [
        threading.Thread(target=attack, args=item, daemon=True)
        for item in opening.items()
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    slowest = 0.0
    while any(thread.is_alive() for thread in threads):
        started = time.monotonic()
        any_ada.http.get("/conversations/").raise_for_status()
        slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.5)
    assert set(took) == set(opening)
    assert max(took.values()) < longest
    assert slowest < 2
    wait_until(lambda: sockets(any_site) <= before + 2)


@pytest.mark.faults
def test_x14_a_body_that_drips_is_cut_off(any_site, any_ada):
    with open_raw(any_site) as connection:
        connection.sendall(post_head(any_ada, "Content-Length: 100000"))
        assert drip(connection, b" ", seconds=BODY_SECONDS + 25) < BODY_SECONDS + 20


def test_x14_a_client_that_asks_first_may_send_and_one_too_long_is_told(any_site, any_ada):
    body = b'{"title": "asked first"}'
    with open_raw(any_site) as connection:
        connection.sendall(
            post_head(
                any_ada, "Expect: 100-continue", f"Content-Length: {len(body)}", "Connection: close"
            )
        )
        assert connection.recv(25).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = read_all(connection)
    assert b"HTTP/1.1 201 " in answer
    with open_raw(any_site) as connection:
        expect = ("Expect: 100-continue", f"Content-Length: {300 * MIB}", "Connection: close")
        connection.sendall(post_head(any_ada, *expect))
        answer = connection.recv(65536)
        assert b"HTTP/1.1 413 " in answer
        assert b"100 Continue" not in answer


def answers(data):
    """Cut the answers out of what a connection sent, by their lengths."""
    found = []
    while data:
        top, _, data = data.partition(b"\r\n\r\n")
        lines = top.lower().split(b"\r\n")
        lengths = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")]
        if lengths:
            body, data = data[: lengths[0]], data[lengths[0] :]
        else:
            body = b""
            while data:
                size, _, data = data.partition(b"\r\n")
                part, data = data[: int(size, 16)], data[int(size, 16) + 2 :]
                if not part:
                    break
                body += part
        found.append((status_of(top), body))
    return found


def test_x14_pipelined_requests_get_their_own_answers_in_order(any_site, any_ada):
    requests = b"".join(
        post_head(any_ada, f"Content-Length: {len(body)}", *last) + body
        for body, last in [
            (b'{"title":"one"}', ()), (b"{not json}", ()), (b'{"title":"two"}', ()),
            (b'{"title":"three"}', ("Connection: close",)),
        ]
    )  # fmt: skip
    found = answers(exchange(any_site, requests))
    assert [status for status, _ in found] == [201, 400, 201, 201]
    titles = [json.loads(body).get("title") for _, body in found]
    assert titles == ["one", None, "two", "three"]


SMUGGLED = b"GET /api/v1/models/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
AMBIGUOUS = {
    "length-and-chunks": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "chunks-and-length": ("Transfer-Encoding: chunked", "Content-Length: 5"),
    "two-lengths": ("Content-Length: 5", "Content-Length: 50"),
    "lengths-in-a-list": ("Content-Length: 5, 50",),
    "signed-length": ("Content-Length: +5",),
    "length-in-hex": ("Content-Length: 0x5",),
    "unknown-coding": ("Transfer-Encoding: xchunked",),
    "two-codings": ("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "space-before-colon": ("Transfer-Encoding : chunked", "Content-Length: 5"),
    "folded": ("Transfer-Encoding:\r\n chunked", "Content-Length: 5"),
    "vertical-tab": ("Transfer-Encoding: \x0bchunked", "Content-Length: 5"),
}


@pytest.fixture(scope="module")
def proxied(_cell):
    port = free_port()
    config = f"""
        upstream site {{ server 127.0.0.1:{_cell[0].port}; keepalive 8; }}
        server {{
            listen 127.0.0.1:{port};
            location / {{
                proxy_pass http://site; proxy_http_version 1.1;
                proxy_set_header Host $host; proxy_set_header Connection "";
            }}
        }}"""
    with NginxServer(config, port=port) as nginx:
        yield nginx


@pytest.mark.parametrize("through", ["nginx", "bare"])
@pytest.mark.parametrize("headers", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_x14_an_ambiguous_length_smuggles_no_request(any_ada, proxied, any_site, headers, through):
    target = proxied if through == "nginx" else any_site
    request = post_head(any_ada, *headers) + b"0\r\n\r\n" + SMUGGLED
    with open_raw(target) as connection:
        connection.settimeout(2)
        with suppress(ConnectionError):
            connection.sendall(request)
        answer = b""
        with suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                answer += part
    statuses = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    if statuses[:1] == [b"400"] or statuses[:1] == [b"501"]:
        assert len(statuses) == 1  # Nothing after it was taken for a request.
    else:
        # Read as chunks: an empty body, then a request of its own, with an answer of its own.
        assert b"chunked" in "".join(headers).encode()
        assert len(statuses) <= 2
    assert b"Traceback" not in answer


def test_x14_a_range_of_a_stream_is_not_asked_for_in_parts(any_ada):
    generation = any_ada.ask("Hello.", model="openai:words:5")
    any_ada.ended(generation)
    path = f"/generations/{generation['id']}/events/"
    whole = any_ada.http.get(path, headers={"Accept": "text/event-stream"})
    part = any_ada.http.get(
        path, headers={"Accept": "text/event-stream", "Range": "bytes=0-9,5-8,0-"}
    )
    assert (part.status_code, part.content) == (200, whole.content)


def test_x14_a_connection_reset_in_the_head_leaves_nothing(any_site):
    before = sockets(any_site)
    for _ in range(50):
        with open_raw(any_site) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: sockets(any_site) <= before)

"""B08, B09, B10, B11: what breaks the rules of WebSocket is closed by name and costs nobody."""

import json
import threading
from contextlib import contextmanager, suppress

import pytest

from tests.guarantees.processes import rss, sockets, wait_until, warmed_rss
from tests.guarantees.raw import RawSocket, exchange, frame, handshake, head, open_raw, status_of

TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
PING_FRAME = frame(TEXT, b'{"type":"ping"}')
MIB = 1 << 20


@pytest.fixture
def unaffected(any_site, any_ada):
    """The process is the same one afterwards, and has served everybody else meanwhile."""
    pid = any_site.process.pid
    with any_ada.socket() as other:
        yield other
        assert other.ping() < 5
    assert any_site.process.pid == pid
    assert any_site.process.poll() is None


FAULTS = {
    "bad-utf-8": (frame(TEXT, b"\xff\xfe\xfd"), 1007),
    "utf-8-cut-in-a-character": (frame(TEXT, b'"\xe2\x82'), 1007),
    "surrogate-in-utf-8": (frame(TEXT, b'"\xed\xa0\x80"'), 1007),
    "rsv1": (frame(TEXT, b"{}", rsv=4), 1002),
    "rsv2": (frame(TEXT, b"{}", rsv=2), 1002),
    "rsv3": (frame(TEXT, b"{}", rsv=1), 1002),
    "data-opcode-3": (frame(3, b"{}"), 1002),
    "control-opcode-11": (frame(11), 1002),
    "unmasked": (frame(TEXT, b"{}", masked=False), 1002),
    "fragmented-ping": (frame(PING, b"x", fin=False), 1002),
    "fragmented-close": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "ping-of-126-bytes": (frame(PING, b"x" * 126), 1002),
    "continuation-of-nothing": (frame(CONT, b"x"), 1002),
    "message-within-a-message": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "close-with-one-byte": (frame(CLOSE, b"\x03"), 1002),
    "close-with-a-reserved-code": (frame(CLOSE, b"\x03\xed"), 1002),
}


@pytest.mark.parametrize(("data", "code"), FAULTS.values(), ids=FAULTS)
def test_b08_a_broken_frame_closes_its_socket_with_the_right_code(any_ada, unaffected, data, code):
    with RawSocket(any_ada) as socket:
        socket.wait(TEXT, b"hello")
        socket.send(data)
        assert socket.close_code() == code


def test_b08_a_binary_frame_gets_an_error_and_control_frames_an_answer(any_ada, unaffected):
    with RawSocket(any_ada) as socket:
        socket.send(frame(BINARY, b'{"type":"ping"}'))
        assert json.loads(socket.wait(TEXT, b"error"))["code"] == "bad_request"
        socket.send(frame(PING, b"x" * 125))
        assert socket.wait(PONG) == b"x" * 125
        socket.send(frame(PONG, b"nobody asked"))
        socket.send(frame(TEXT, b'{"type":', fin=False) + frame(PING) + frame(CONT, b'"ping"}'))
        socket.wait(TEXT, b"pong")
        socket.send(frame(CLOSE, b"\x03\xe8"))
        assert socket.close_code() == 1000


BIG = b'{"type":"send","id":"a","text":"' + b"x" * 131_041
OVERSIZE = {
    "one-byte-over": frame(TEXT, b"x" * 131_073),
    "a-thousand-fragments": frame(TEXT, b"x" * 200, fin=False)
    + frame(CONT, b"x" * 200, fin=False) * 999,
    "header-of-2-to-the-62": frame(TEXT, b"x" * 10, length=1 << 62),
    "fragment-of-2-to-the-62": frame(TEXT, b"x", fin=False) + frame(CONT, b"x", length=1 << 62),
}


@pytest.mark.parametrize("data", OVERSIZE.values(), ids=OVERSIZE)
def test_b09_what_is_over_the_bound_is_closed_with_1009_and_not_kept(
    any_site, any_ada, unaffected, data
):
    with RawSocket(any_ada) as warm:  # What the first such close loads is not counted.
        warm.send(data)
        warm.close_code()
    before = warmed_rss(any_ada)
    sockets = [RawSocket(any_ada) for _ in range(8)]
    for socket in sockets:
        socket.send(data)
    assert [socket.close_code() for socket in sockets] == [1009] * 8
    assert rss(any_site) - before < 8 * MIB
    for socket in sockets:
        socket.connection.close()


def test_b09_a_frame_at_the_bound_is_read(any_ada, unaffected):
    with RawSocket(any_ada) as socket:
        data = b'{"type":"ping","x":"%b"}'
        data %= b"x" * (131_072 - len(data) + 2)
        assert len(data) == 131_072
        socket.send(frame(TEXT, data))
        assert json.loads(socket.wait(TEXT, b"error"))["code"] == "bad_request"


@contextmanager
def flood(person, data):
    """Send as fast as it goes, in a thread, until cut off."""
    socket = RawSocket(person)
    ended = threading.Event()

    def send():
        with suppress(OSError):
            while True:
                socket.connection.sendall(data)
        ended.set()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield socket, ended
    finally:
        socket.connection.close()
        thread.join(10)


FLOODS = {
    "pings": frame(PING, b"x") * 500,
    "pongs": frame(PONG) * 500,
    "messages-of-one-byte": frame(TEXT, b"x") * 500,
    "empty-messages": frame(TEXT) * 500,
    "pings-to-the-application": PING_FRAME * 200,
}


@pytest.mark.parametrize("reading", [True, False], ids=["reading", "not-reading"])
@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS)
def test_b10_a_flood_is_cut_off_and_nobody_else_feels_it(
    any_site, any_ada, unaffected, data, reading
):
    before = warmed_rss(any_ada)
    with flood(any_ada, data) as (socket, ended):
        if reading:
            assert socket.close_code() in (1008, None)  # None: it was cut off while it sent.
        slowest = 0.0
        while not ended.wait(0.05):
            slowest = max(slowest, unaffected.ping())
        assert slowest < 1
    assert rss(any_site) - before < 16 * MIB


def test_b10_a_socket_within_its_budget_is_told_why_it_is_over_it(any_ada, unaffected):
    with RawSocket(any_ada) as socket:
        socket.send(frame(PING) * 900)
        for _ in range(900):
            socket.wait(PONG)
        socket.send(frame(PING) * 1000)
        assert socket.close_code() == 1008


UPGRADES = {
    "old-version": {"Sec_WebSocket_Version": "8"},
    "no-version": {"Sec_WebSocket_Version": None},
    "version-that-is-no-number": {"Sec_WebSocket_Version": "x"},
    "no-key": {"Sec_WebSocket_Key": None},
    "short-key": {"Sec_WebSocket_Key": "eA=="},
    "key-that-is-no-base64": {"Sec_WebSocket_Key": "?" * 24},
    "no-upgrade-of-the-connection": {"Connection": "close"},
}


@pytest.mark.parametrize("changed", UPGRADES.values(), ids=UPGRADES)
def test_b11_a_broken_upgrade_is_refused(any_site, any_ada, unaffected, changed):
    request = handshake(any_ada, **changed)
    answer = exchange(any_site, request.replace(b"Host:", b"X-Test: 1\r\nHost:"))
    assert status_of(answer) in (400, 404, 426)


def upgrade_lines(request, method, path, version="1.1"):
    return request.replace(b"GET /ws/chat/ HTTP/1.1", f"{method} {path} HTTP/{version}".encode())


@pytest.mark.parametrize(
    ("method", "path", "version"),
    [("POST", "/ws/chat/", "1.1"), ("PUT", "/ws/chat/", "1.1"), ("GET", "/ws/chat/", "1.0"),
     ("GET", "/ws/nothing/", "1.1"), ("GET", "/api/v1/conversations/", "1.1")],
)  # fmt: skip
def test_b11_an_upgrade_elsewhere_is_no_socket(
    any_site, any_ada, unaffected, method, path, version
):
    request = upgrade_lines(handshake(any_ada, Connection="Upgrade, close"), method, path, version)
    answer = exchange(any_site, request)
    assert status_of(answer) in (400, 403, 404, 405, 426)


def test_b11_another_protocol_is_not_upgraded_to(any_site, any_ada, unaffected):
    request = handshake(any_ada, Upgrade="h2c", Connection="Upgrade, close")
    request = upgrade_lines(request, "GET", "/accounts/login/")
    assert status_of(exchange(any_site, request)) == 200


@pytest.mark.parametrize("byte", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\x00", "\r"])
@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "plain"])
def test_b11_line_breaks_of_other_alphabets_smuggle_no_header(
    any_site, any_ada, unaffected, byte, upgrade
):
    """Daphne cut header lines at them (CVE-2026-44546): here that would sign somebody in."""
    smuggled = f"X-Odd: a{byte}Authorization: Bearer {any_ada.key}"
    if upgrade:
        request = handshake(any_ada, Authorization=None)[:-2] + smuggled.encode("latin-1")
        request += b"\r\n\r\n"
    else:
        request = head("GET /api/v1/conversations/ HTTP/1.1", smuggled, "Connection: close")
    answer = exchange_briefly(any_site, request)
    assert status_of(answer) in (400, 401, 403)
    assert b'"items"' not in answer


def exchange_briefly(site, request):
    """Return what is answered within a second; an upgraded connection would stay open."""
    data = b""
    with open_raw(site) as connection:
        connection.sendall(request)
        connection.settimeout(1)
        with suppress(TimeoutError, ConnectionError):
            while part := connection.recv(65536):
                data += part
    return data


def test_b11_the_connections_of_all_this_are_gone(any_site, any_ada):
    before = sockets(any_site)
    for changed in UPGRADES.values():
        exchange(any_site, handshake(any_ada, **changed))
    wait_until(lambda: sockets(any_site) <= before)

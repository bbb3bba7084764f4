"""The proxy that fault tests stand behind does what they take for granted."""

import random
import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.proxy import Proxy

TEXT = random.Random(7).randbytes(200_000)


@pytest.fixture(scope="module")
def echo():
    """The port of a server that sends back what it gets, and ends when its client ends."""

    def serve(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=[connection], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def proxy(echo):
    with Proxy(echo, buffer=8192, seed=1) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
        yield connection


def received(connection, number=None):
    data = b""
    while number is None or len(data) < number:
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data


def sent_until_full(connection):
    sent = 0
    with suppress(TimeoutError):
        while sent < 50_000_000:
            sent += connection.send(TEXT)
    assert sent < 50_000_000
    return sent


def is_refused(proxy):
    """Is a new connection reset, at once or when it is used?"""
    try:
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as connection:
            connection.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_bytes_and_ends_pass_both_ways(proxy, client):
    sender = threading.Thread(target=client.sendall, args=[TEXT])
    sender.start()
    assert received(client, len(TEXT)) == TEXT
    sender.join(5)
    client.shutdown(socket.SHUT_WR)
    assert received(client) == b""
    assert (proxy.up.bytes, proxy.down.bytes) == (len(TEXT), len(TEXT))


def test_recut_bytes_are_the_same_bytes_in_small_pieces(proxy, client):
    proxy.cut = 3
    client.sendall(TEXT[:3000])
    sizes = []
    while sum(sizes) < 3000:
        sizes.append(len(client.recv(3)))
    assert proxy.down.bytes == 3000
    assert min(sizes) < 3


def test_a_rate_and_a_delay_take_their_time(proxy, client):
    proxy.down.rate = 1000
    started = time.monotonic()
    client.sendall(b"x" * 500)
    assert len(received(client, 500)) == 500
    assert 0.4 < time.monotonic() - started < 3
    proxy.rate, proxy.delay = None, 0.2
    started = time.monotonic()
    for _ in range(5):  # All under way at once.
        client.sendall(b"y")
        time.sleep(0.01)
    assert received(client, 5) == b"yyyyy"
    assert 0.4 < time.monotonic() - started < 0.9


def test_paused_it_holds_the_sender_back_and_loses_nothing(proxy, client):
    client.sendall(b"a")
    assert client.recv(1) == b"a"
    proxy.paused = True
    client.settimeout(0.3)
    sent = sent_until_full(client)
    with pytest.raises(TimeoutError):
        client.recv(1)
    proxy.paused = False
    client.settimeout(5)
    assert len(received(client, sent)) == sent


def test_a_black_hole_swallows_bytes_and_ends(proxy, client):
    proxy.lost = True
    client.sendall(b"x" * 10_000)
    client.shutdown(socket.SHUT_WR)
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
    assert (proxy.connections, proxy.up.bytes) == (1, 0)


def test_a_reset_breaks_every_connection(proxy, client):
    client.sendall(b"x")
    assert client.recv(1) == b"x"
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert proxy.connections == 0


def test_a_half_closed_way_still_carries_the_other(proxy, client):
    proxy.down.delay = 0.2
    client.sendall(b"x")
    while not proxy.up.bytes:
        time.sleep(0.01)
    assert proxy.half_close(proxy.up) == 1
    assert received(client) == b"x"  # And then the end, since the echo has seen one.


def test_refusing_and_a_dead_target_reset_new_connections(proxy):
    proxy.refusing = True
    assert is_refused(proxy)
    proxy.refusing, proxy.target = False, 1
    assert is_refused(proxy)

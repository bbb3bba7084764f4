"""A04, A05: a reader that does not keep up costs its own connection, and nothing else."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from chat.management.limits import GRACE_SECONDS
from tests.guarantees.clients import API, PATIENCE, check_log
from tests.guarantees.processes import rss, wait_until
from tests.guarantees.raw import RawSocket, frame, head, open_raw
from tests.guarantees.readers import EventStreamParser
from tests.proxy import Proxy

MIB = 1 << 20
FLOOD_MIB = 64
pytestmark = pytest.mark.faults  # Its flood takes minutes to be written; TestFlood is the slice.

SLOW_SECONDS = 3
CLOSED_SECONDS = SLOW_SECONDS + 15  # The guarantee's bound, and room for a busy machine.

SITE_ENV = {
    "CHAT_SLOW_READER_SECONDS": str(SLOW_SECONDS),
    "CHAT_MAX_ANSWER_BYTES": str((FLOOD_MIB + 8) * MIB),
    "CHAT_MAX_GENERATION_SECONDS": "300",
}
SCRIPT = [{"delta": "x" * 16_000}] * (FLOOD_MIB * MIB // 16_000)


@pytest.fixture(scope="module")
def flood(_cell):
    """A generation of 64 MiB, written."""
    site, people = _cell
    site.upstream.script([*SCRIPT, {"finish": "stop"}, {"done": True}])
    generation = people.ada.ask("Flood.")["id"]
    wait_until(lambda: people.ada.generation(generation)["status"] == "done", seconds=240)
    return generation


def ends_of(connection) -> tuple[int, int]:
    """Return the ports of a connection, ours and theirs. Ask while it is open."""
    return connection.getsockname()[1], connection.getpeername()[1]


def in_kernel(ends) -> int:
    """Return how many bytes wait on both sides of a connection, of what the site has sent."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        ports = {int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16)}
        if ports == set(ends):
            total += sum(int(part, 16) for part in queues.split(":"))
    return total


def is_open(ends) -> bool:
    """Is the site's side of a connection still there? Nothing is read to find out."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *_ = line.split()
        ports = (int(local.rpartition(":")[2], 16), int(remote.rpartition(":")[2], 16))
        if ports == ends[::-1] and state == "01":
            return True
    return False


def settled_rss(site) -> int:
    """Return a process's size once it has stood still for a second."""
    size, until = rss(site), time.monotonic() + 10
    while time.monotonic() < until:
        time.sleep(1)
        if abs(rss(site) - size) < MIB // 4:
            break
        size = rss(site)
    return rss(site)


def follow_raw(person, generation, kind):
    """Begin to follow with a small window; return the connection and what it has read so far."""
    if kind == "socket":
        socket = RawSocket(person, rcvbuf=4096)
        socket.send(frame(1, json.dumps({"type": "follow", "generation": generation}).encode()))
        return socket.connection
    connection = open_raw(person.site, rcvbuf=4096)
    path = f"{API}/generations/{generation}/events/"
    authorization = f"Authorization: Bearer {person.key}"
    connection.sendall(head(f"GET {path} HTTP/1.0", "Accept: text/event-stream", authorization))
    return connection


@pytest.mark.parametrize("kind", ["socket", "stream"])
def test_a04_a_reader_that_reads_nothing_is_waited_for_then_closed(
    any_site, any_people, flood, kind
):
    ada = any_people.ada
    with suppress(Exception), follow_raw(ada, flood, kind) as warm:
        warm.recv(4096)
    before = settled_rss(any_site)
    started = time.monotonic()
    slowest, most, held = 0.0, 0, 0
    with any_people.bob.socket() as other, follow_raw(ada, flood, kind) as stuck:
        ends = ends_of(stuck)
        while is_open(ends):
            slowest = max(slowest, other.ping())
            most = max(most, rss(any_site) - before)
            held = max(held, in_kernel(ends))
            assert time.monotonic() - started < CLOSED_SECONDS
            time.sleep(0.1)
        took = time.monotonic() - started
    assert took > SLOW_SECONDS - 1  # It had its time.
    assert 0 < held <= 4 * MIB
    assert most <= 4 * MIB
    assert slowest < 1


@pytest.mark.parametrize("kind", ["socket", "stream"])
def test_a04_it_may_come_back_with_its_cursor(any_site, any_ada, flood, kind):
    with follow_raw(any_ada, flood, "stream") as stuck:
        ends = ends_of(stuck)
        wait_until(lambda: not is_open(ends), seconds=CLOSED_SECONDS)
        data = b""
        with suppress(ConnectionError):
            while part := stuck.recv(65536):
                data += part
    events = EventStreamParser().feed(data.partition(b"\r\n\r\n")[2])
    cursor = events[-1].cursor if events else 0
    if kind == "stream":
        rest = any_ada.streamed(flood, after=cursor)
    else:
        with any_ada.socket() as socket:
            socket.send("follow", generation=flood, after=cursor)
            rest = socket.events(flood)
    check_log(events + rest)


def test_a04_a_stream_that_is_read_a_little_at_a_time_is_not_cut_off(any_ada, flood):
    """Not even while nothing more fits into the kernel."""
    with follow_raw(any_ada, flood, "stream") as slow:
        ends = ends_of(slow)
        until = time.monotonic() + SLOW_SECONDS + 2 * GRACE_SECONDS
        while time.monotonic() < until:
            assert slow.recv(2048)
            time.sleep(0.1)
        assert is_open(ends)


def test_a04_a_socket_that_reads_again_at_the_last_moment_is_told_why(any_ada, flood):
    """Its buffers are full when it is closed: only one that empties them sees the code."""
    with RawSocket(any_ada, rcvbuf=4096) as socket:
        socket.send(frame(1, json.dumps({"type": "follow", "generation": flood}).encode()))
        time.sleep(SLOW_SECONDS + 0.5)
        socket.connection.settimeout(PATIENCE)
        assert socket.close_code() in (4408, None)


def test_a05_readers_that_drip_do_not_hold_up_others(any_site, any_ada):
    with Proxy(any_site.port, buffer=4096) as proxy:
        proxy.down.rate = 100
        generation = any_ada.ask("Count.", model="openai:words:400@80")["id"]
        drips = []
        for number in range(10):
            connection = open_raw(type("Via", (), {"port": proxy.port})())
            kind = f"GET {API}/generations/{generation}/events/ HTTP/1.0"
            connection.sendall(head(kind, f"Authorization: Bearer {any_ada.key}"))
            drips.append(connection)
            assert number < 10
        gaps = []
        with any_ada.socket() as socket:
            socket.send("follow", generation=generation, after=0)
            last = time.monotonic()
            events = []
            for batch in socket.batches(generation):
                now = time.monotonic()
                gaps.append(now - last)
                last = now
                events += batch
        check_log(events)
        assert max(gaps[1:]) < 1.5  # They come every 30 ms when nobody hinders.
        for connection in drips:
            connection.close()
    check_log(any_ada.streamed(generation, after=0))

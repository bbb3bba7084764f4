"""D18: a defect of ours in a reader ends that reader, says so once, and costs nobody else."""

import threading
import time

import httpx
import pytest

from tests.guarantees.broken_log import DEFECT, INTACT_UNTIL
from tests.guarantees.clients import API
from tests.guarantees.processes import sockets
from tests.guarantees.sites import site_with_people


@pytest.fixture(scope="module")
def served():
    with site_with_people(
        expect_errors=True, CHAT_EVENT_LOG="tests.guarantees.broken_log.BrokenLog"
    ) as served:
        yield served


@pytest.fixture(scope="module")
def broken_site(served):
    return served[0]


@pytest.fixture(scope="module")
def erin(served):
    """Somebody who reads where reading breaks."""
    return served[1].ada


@pytest.fixture
def generation(erin):
    return erin.ask("Count.", model="openai:words:20@40")["id"]


def tracebacks(site) -> int:
    return site.output.count(f"ValueError: {DEFECT}")


def assert_internal(error: dict) -> None:
    assert (error["code"], error["retryable"]) == ("internal_error", True)
    assert DEFECT not in error["message"]


def test_d18_a_stream_ends_with_an_error_event(broken_site, erin, generation):
    before = tracebacks(broken_site)
    with erin.follow(generation) as stream:
        events = list(stream)  # To the end: the response is finished properly.
    assert [event.cursor for event in events[:-1]] == [1, 2, 3]
    assert events[-1].kind == "error"
    assert_internal(events[-1].fields)
    assert stream.raw.endswith(b"}\n\n")
    assert b"id:" not in stream.raw.split(b"\n\n")[-2]
    assert tracebacks(broken_site) == before + 1


def test_d18_a_socket_is_told_and_goes_on(broken_site, erin, generation):
    before = tracebacks(broken_site)
    with erin.socket() as socket:
        socket.send("follow", generation=generation, after=0)
        error = socket.wait("error", generation=generation)
        assert_internal(error)
        assert socket.ping() < 1
        socket.send("follow", generation=generation, after=INTACT_UNTIL)
        assert_internal(socket.wait("error", generation=generation))
    assert tracebacks(broken_site) == before + 2


def test_d18_a_long_poll_is_answered_500(broken_site, erin, generation):
    erin.poll(generation, wait=5).raise_for_status()
    before = tracebacks(broken_site)
    answer = erin.poll(generation, after=INTACT_UNTIL, wait=5)
    while answer.status_code == 400:  # The third event has not been written yet.
        answer = erin.poll(generation, after=INTACT_UNTIL, wait=5)
    assert answer.status_code == 500
    assert_internal(answer.json()["error"])
    assert tracebacks(broken_site) == before + 1


def test_d18_the_answer_and_the_process_go_on(broken_site, erin, generation):
    process = broken_site.process.pid
    erin.generation(generation)  # By the connection that is kept open.
    before = sockets(broken_site)
    threads = [
        threading.Thread(target=lambda: list_all(erin, generation), daemon=True) for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not [thread for thread in threads if thread.is_alive()]
    deadline = time.monotonic() + 10
    while erin.generation(generation)["status"] == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    found = erin.generation(generation)
    assert (found["status"], broken_site.process.pid) == ("done", process)
    assert len(erin.saved_text(found)) > 100
    deadline = time.monotonic() + 10
    while sockets(broken_site) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sockets(broken_site) <= before


def list_all(person, generation: str) -> None:
    headers = {"Authorization": f"Bearer {person.key}"}
    address = f"{person.site.url}{API}/generations/{generation}/events/"
    assert "event: error" in httpx.get(address, headers=headers, timeout=20).text

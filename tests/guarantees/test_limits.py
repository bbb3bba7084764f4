"""A11: past a limit nothing is stored, and everybody is told before anything is accepted."""

import time
from contextlib import ExitStack, suppress
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.guarantees.sites import asked, site_with_people
from tests.guarantees.tables import tables
from tests.servers import DaphneSite, UvicornSite

LIMITS = {
    "CHAT_MAX_RUNNING_PER_USER": "3",
    "CHAT_MAX_READERS_PER_USER": "3",
    "CHAT_MAX_READERS": "5",
    "CHAT_QUEUE_LIMIT": "1",
}
TEXTS = {"chat_message.text", "chat_message.reasoning"}


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def served(request):
    with site_with_people(kind=request.param, expect_errors=True, **LIMITS) as (site, people):
        yield site, people


def refusals(person, *, conversation: str, prompt: str) -> list[dict]:
    """Send a prompt on every way; return the errors after checking how they came."""
    path = f"/conversations/{conversation}/messages/"
    found = []
    for accept in ("application/json", "text/event-stream"):
        answer = person.http.post(path, json={"text": prompt}, headers={"Accept": accept})
        assert answer.status_code == 429
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["Retry-After"]) >= 1
        found.append(answer.json()["error"])
    with person.socket() as socket:
        id_ = socket.submit(prompt, conversation=conversation)
        error = socket.wait("error", id=id_)
        found.append({name: error[name] for name in ("code", "message", "retryable")})
        assert socket.ping() < 2  # The socket goes on.
    page = person.browser.post(f"/c/{conversation}/", data={"text": prompt})
    assert page.status_code == 429
    assert prompt in page.text  # Handed back to its author.
    return found


def check_refused(site, person, code: str, *, conversation: str) -> None:
    prompt = f"Too many {uuid4().hex[:8]}"
    before = tables(site, without=TEXTS)
    errors = refusals(person, conversation=conversation, prompt=prompt)
    assert tables(site, without=TEXTS) == before
    assert errors == [errors[0]] * 3
    assert (errors[0]["code"], errors[0]["retryable"]) == (code, True)
    assert asked(site, prompt) == []


def test_a11_a_fourth_running_answer_is_refused_and_nothing_is_stored(served):
    site, people = served
    running = [people.ada.ask("Go on.", model="openai:hang-after:1")["id"] for _ in range(3)]
    check_refused(site, people.ada, "rate_limited", conversation=people.ada.conversation())
    others = people.bob.ask("Hi.", model="openai:words:2")
    assert people.bob.ended(others)["status"] == "done"
    people.ada.stop(running.pop())
    assert people.ada.ended(people.ada.ask("Again?", model="openai:words:2"))["status"] == "done"
    for generation in running:
        people.ada.stop(generation)


def test_a11_a_full_queue_takes_nothing_and_stores_nothing(served):
    site, people = served
    conversation = people.ada.conversation()
    model = "openai:hang-after:1"
    running, waiting = [
        people.ada.ask("Wait.", conversation=conversation, model=model)["id"] for _ in range(2)
    ]
    check_refused(site, people.ada, "queue_full", conversation=conversation)
    for generation in (waiting, running):
        people.ada.stop(generation)


def opened(person, stack: ExitStack, count: int) -> list:
    """Open sockets and wait until they are greeted; readers of the last test may yet be leaving."""
    sockets = []
    deadline = time.monotonic() + 5
    while len(sockets) < count:
        assert time.monotonic() < deadline
        socket = stack.enter_context(person.socket())
        with suppress(ConnectionClosed):
            socket.wait("hello")
            sockets.append(socket)
    return sockets


def check_no_reader_more(person, generation: str, *, status: int, code: str) -> None:
    path = f"/generations/{generation}/events/"
    for accept in ("text/event-stream", "application/json"):
        answer = person.http.get(path, params={"wait": 5}, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert int(answer.headers["Retry-After"]) >= 1
    with person.socket() as socket:
        assert socket.close_code() == 4429
        with pytest.raises(ConnectionClosed):
            socket.send("ping")


def check_reader_again(person, generation: str) -> None:
    """Check that there is room once a reader has left, as soon as the server has seen it."""
    deadline = time.monotonic() + 5
    while person.poll(generation).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a11_readers_past_a_users_limit_are_refused(served):
    _, people = served
    generation = people.ada.ask("Wait.", model="openai:hang-after:1")["id"]
    with ExitStack() as stack:
        opened(people.ada, stack, 2)
        with people.ada.follow(generation):
            check_no_reader_more(people.ada, generation, status=429, code="rate_limited")
            opened(people.bob, stack, 1)
        check_reader_again(people.ada, generation)
    people.ada.stop(generation)


def test_a11_readers_past_the_sites_limit_are_refused(served):
    _, people = served
    generation = people.bob.ask("Wait.", model="openai:hang-after:1")["id"]
    with ExitStack() as stack:
        check_reader_again(people.bob, generation)
        sockets = opened(people.ada, stack, 3) + opened(people.root, stack, 2)
        check_no_reader_more(people.bob, generation, status=503, code="overloaded")
        sockets[0].connection.close()
        check_reader_again(people.bob, generation)
    people.bob.stop(generation)


def test_a11_a_prompt_whose_answer_cannot_be_followed_is_not_accepted(served):
    site, people = served
    conversation = people.ada.conversation()
    before = tables(site)
    with ExitStack() as stack:
        opened(people.ada, stack, 3)
        answer = people.ada.http.post(
            f"/conversations/{conversation}/messages/",
            json={"text": "Who listens?"},
            headers={"Accept": "text/event-stream"},
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) >= 1
    assert tables(site) == before

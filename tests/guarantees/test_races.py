"""Tabs that change one queue at the same moments, over both transports, on a real server."""

import random
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from itertools import chain, pairwise
from uuid import uuid4

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.sites import asked
from tests.guarantees.test_accept import in_threads

PROMPTS = 8
ACTIONS = 12
ENDED = {"done", "stopped"}


def fill(person, name):
    """Begin a conversation, and return its id and the generations that wait in it."""
    conversation = person.conversation()
    model = "openai:words:6@60"
    texts = [f"{name} {number}" for number in range(PROMPTS)]
    sent = [person.ask(text, conversation=conversation, model=model) for text in texts]
    return conversation, [each["id"] for each in sent]


def actions(seed, generations):
    """Yield what one tab does, a moment apart: a kind, a generation, and what is changed."""
    chance = random.Random(seed)
    for number in range(ACTIONS):
        time.sleep(chance.random() / 20)
        kind = chance.choice(["change"] * 6 + ["withdraw", "send_now", "stop"])
        change = {}
        if kind == "change":
            move = {"place": chance.randint(1, PROMPTS)}
            change = chance.choice([move, {"text": f"changed {seed} {number} {uuid4()}"}])
        yield kind, chance.choice(generations), change


def http_tab(person, seed, generations):
    """Return the ids of the prompts that it has taken back."""
    taken = []
    for kind, generation, change in actions(seed, generations):
        path = f"/generations/{generation}/"
        if kind == "change":
            answer = person.http.patch(path, json=change)
        else:
            answer = person.http.post(f"{path}{kind.replace('_', '-')}/")
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 409:
            assert answer.json()["error"]["code"] == "not_queued"
        elif kind == "withdraw":
            taken.append(generation)
    return taken


def socket_tab(socket, seed, generations):
    for kind, generation, change in actions(seed, generations):
        socket.send(kind, generation=generation, **change)
    socket.ping()
    errors = [frame for frame, _ in socket.pending if frame["type"] == "error"]
    assert {error["code"] for error in errors} <= {"not_queued"}
    return []


def check_conversation(person, site, conversation, generations, taken):
    """Everything has ended, once; what ran was asked once, in single file, each below the last."""
    assert set(Counter(taken).values()) <= {1}
    for generation in generations:
        check_log(person.streamed(generation))
    found = [person.generation(generation) for generation in generations]
    assert {each["status"] for each in found} <= ENDED
    rows = {row["id"]: row for row in person.messages(conversation)}
    ran = sorted((each for each in found if each["started_at"]), key=lambda each: each["message"])
    assert not {each["id"] for each in ran} & set(taken)
    for before, after in pairwise(ran):
        assert before["ended_at"] <= after["started_at"]
        prompt = rows[rows[after["message"]]["parent"]]
        assert prompt["parent"] == before["message"]
    for each in ran:
        times = len(asked(site, rows[rows[each["message"]]["parent"]]["text"]))
        assert times <= 1 if each["status"] == "stopped" else times == 1
    assert person.http.get(f"/conversations/{conversation}/queue/").json() == {"items": []}


@pytest.mark.parametrize("round_", range(2))
def test_tabs_that_change_a_queue_at_once_leave_everything_in_order(any_site, any_ada, round_):
    conversation, generations = fill(any_ada, f"Round {uuid4()}")
    with ExitStack() as stack:
        sockets = [stack.enter_context(any_ada.socket()) for _ in range(2)]
        tabs = [partial(http_tab, any_ada, f"{round_} http {n}", generations) for n in range(2)]
        tabs += [
            partial(socket_tab, socket, f"{round_} socket {n}", generations)
            for n, socket in enumerate(sockets)
        ]
        taken = list(chain.from_iterable(in_threads(*tabs)))
    check_conversation(any_ada, any_site, conversation, generations, taken)

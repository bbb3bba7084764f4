"""Accepted once, answered once, in order: whoever sends, however often, and whoever leaves."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import asked
from tests.upstream import words_text


def turns(entry) -> list[tuple[str, str]]:
    """Return what the model was told, without the system prompt."""
    messages = entry["body"]["messages"]
    return [(m["role"], m["content"]) for m in messages if m["role"] != "system"]


def unique(text: str) -> str:
    return f"{text} {uuid4().hex[:8]}"


def in_threads(*calls):
    """Call all at the same time and return what they return."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


# The queue -------------------------------------------------------------------


def send_three(socket, conversation, *, first_model, prompts):
    """Send three prompts, waiting for nothing between, and return their ``accepted`` frames."""
    models = [first_model, "openai:echo", "openai:echo"]
    ids = [
        socket.submit(text, conversation=conversation, model=model)
        for text, model in zip(prompts, models, strict=True)
    ]
    return [socket.wait("accepted", id=id_) for id_ in ids]


def test_three_prompts_sent_at_once_are_answered_in_order(ada, site):
    prompts = [unique(name) for name in ("One.", "Two.", "Three.")]
    with ada.socket() as socket:
        accepted = send_three(
            socket, ada.conversation(), first_model="openai:words:20@40", prompts=prompts
        )
        assert [frame["position"] for frame in accepted] == [0, 1, 2]
        for frame in accepted:  # The sender follows without asking.
            check_log(socket.events(frame["generation"]))
    answers = [ada.generation(frame["generation"]) for frame in accepted]
    assert [answer["status"] for answer in answers] == ["done"] * 3
    times = [(answer["started_at"], answer["ended_at"]) for answer in answers]
    assert times[0][1] <= times[1][0] <= times[1][1] <= times[2][0]
    assert [ada.saved_text(answer) for answer in answers] == [words_text(20), *prompts[1:]]
    ((one,), (two,), (three,)) = (asked(site, prompt) for prompt in prompts)
    first = [("user", prompts[0]), ("assistant", words_text(20))]
    second = [("user", prompts[1]), ("assistant", prompts[1])]
    assert turns(one) == first[:1]
    assert turns(two) == first + second[:1]
    assert turns(three) == [*first, *second, ("user", prompts[2])]


def test_a_prompt_stopped_in_the_queue_is_not_told_to_the_model(ada, site):
    prompts = [unique(name) for name in ("One.", "Two.", "Three.")]
    with ada.socket() as socket:
        one, two, three = send_three(
            socket, ada.conversation(), first_model="openai:words:30@40", prompts=prompts
        )
        socket.send("stop", generation=two["generation"])
        (stopped,) = socket.events(two["generation"])
        assert (stopped.cursor, stopped.kind, stopped.fields["length"]) == (1, "stopped", 0)
        assert ada.generation(one["generation"])["status"] == "running"
        check_log(socket.events(one["generation"]))
        check_log(socket.events(three["generation"]))
    assert asked(site, prompts[1]) == []
    (entry,) = asked(site, prompts[2])
    first = [("user", prompts[0]), ("assistant", words_text(30))]
    assert turns(entry) == [*first, ("user", prompts[2])]
    assert ada.generation(two["generation"])["status"] == "stopped"


def test_the_queue_is_bounded_and_a_refused_prompt_leaves_nothing(ada):
    conversation = ada.conversation()
    running = ada.ask("First.", conversation=conversation, model="openai:infinite@20")
    waiting = [ada.ask(f"Wait {n}.", conversation=conversation) for n in range(20)]
    refused = ada.post("Too many.", conversation=conversation)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    error = refused.json()["error"]
    assert (error["code"], error["retryable"]) == ("queue_full", True)
    assert "Too many." not in [message["text"] for message in ada.messages(conversation)]
    for generation in [*reversed(waiting), running]:
        assert ada.stop(generation["id"])["status"] == "stopped"


# Keys --------------------------------------------------------------------------


def test_e07_two_tabs_with_different_keys_are_both_answered(ada, site):
    conversation = ada.conversation()
    prompts = [unique("Tab.") for _ in range(6)]
    answers = in_threads(
        *(
            lambda prompt=prompt: ada.post(
                prompt, conversation=conversation, model="openai:words:5@50"
            )
            for prompt in prompts
        )
    )
    bodies = [answer.raise_for_status().json() for answer in answers]
    assert sorted(body["position"] for body in bodies) == list(range(6))
    for body in bodies:
        assert ada.ended(body["generation"])["status"] == "done"
    assert [len(asked(site, prompt)) for prompt in prompts] == [1] * 6
    assert len(ada.messages(conversation)) == 12


def test_e07_two_tabs_with_the_same_key_get_one_generation(ada, site):
    conversation, prompt, key = ada.conversation(), unique("Once."), str(uuid4())
    with ada.socket() as socket:
        frame = {"id": key, "conversation": conversation, "text": prompt, "model": "openai:words:9"}

        def by_socket():
            socket.send("send", **frame)
            return socket.wait("accepted", id=key)["generation"]

        def by_post():
            answer = ada.post(prompt, conversation=conversation, key=key, model="openai:words:9")
            return answer.raise_for_status().json()["generation"]["id"]

        found = in_threads(by_socket, by_post, by_post, by_post, by_post)
    assert len(set(found)) == 1
    ada.ended(ada.generation(found[0]))
    assert len(asked(site, prompt)) == 1
    assert [m["role"] for m in ada.messages(conversation)] == ["user", "assistant"]


def test_e08_a_retry_after_a_lost_answer_gets_the_same_generation(ada, site):
    conversation, prompt, key = ada.conversation(), unique("Lost."), str(uuid4())
    path = f"/conversations/{conversation}/messages/"
    body = {"text": prompt, "model": "openai:words:30@60"}
    with ada.stream(path, method="POST", headers={"Idempotency-Key": key}, **body) as stream:
        first = [event for event, _ in zip(stream, range(3), strict=False)]
    with ada.stream(path, method="POST", headers={"Idempotency-Key": key}, **body) as stream:
        again = list(stream)
    check_log(again)
    assert again[:3] == first
    with ada.stream(
        path, method="POST", headers={"Idempotency-Key": key, "Last-Event-ID": "3"}, **body
    ) as stream:
        assert list(stream) == again[3:]
    with ada.stream(path, method="POST", headers={"Last-Event-ID": "5"}, **body) as stream:
        assert list(stream) == again[5:]
    plain = [ada.post(prompt, conversation=conversation, key=key, model=body["model"]).json()
             for _ in range(3)]  # fmt: skip
    assert plain[0] == plain[1] == plain[2]
    assert text_of(ada.streamed(plain[0]["generation"]["id"])) == text_of(again)
    assert len(asked(site, prompt)) == 1


@pytest.mark.parametrize("change", [{"text": "other"}, {"model": "openai:other"}])
def test_e09_the_same_key_with_another_request_is_refused(ada, change):
    conversation, key = ada.conversation(), str(uuid4())
    request = {"text": "Same?", "model": "openai:words:2"}
    ada.post(conversation=conversation, key=key, **request).raise_for_status()
    refused = ada.post(conversation=conversation, key=key, **request | change)
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "idempotency_conflict"
    elsewhere = ada.post(conversation=ada.conversation(), key=key, **request)
    assert elsewhere.status_code == 409


def test_e09_the_same_key_of_another_user_is_another_request(ada, bob):
    key = str(uuid4())
    answers = [person.post("Same?", key=key, model="openai:words:2") for person in (ada, bob)]
    found = {answer.raise_for_status().json()["generation"]["id"] for answer in answers}
    assert len(found) == 2


def test_e09_on_a_socket_the_same_key_is_refused_to_another_request_and_free_to_others(ada, bob):
    conversation, key = ada.conversation(), str(uuid4())
    request = {"text": "Same?", "conversation": conversation, "model": "openai:words:2"}
    with ada.socket() as mine, bob.socket() as theirs:
        first = mine.ask(id=key, **request)
        for change in ({"text": "other"}, {"model": "openai:other"}, {"conversation": None}):
            mine.submit(id=key, **request | change)
            error = mine.wait("error", id=key)
            assert (error["code"], error["retryable"]) == ("idempotency_conflict", False)
        assert mine.ask(id=key, **request)["generation"] == first["generation"]
        others = theirs.ask(id=key, text="Same?", model="openai:words:2")
        assert others["generation"] != first["generation"]
    refused = ada.post("other", conversation=conversation, key=key)  # Whatever the transport.
    assert refused.status_code == 409
    assert len(ada.messages(conversation)) == 2


# Leaving -------------------------------------------------------------------------


def test_closing_the_socket_does_not_stop_the_answer(ada):
    with ada.socket() as socket:
        generation = socket.ask("Count.", model="openai:words:30@40")["generation"]
        next(socket.batches(generation))
    assert ada.generation(generation)["status"] == "running"
    ended = ada.ended(ada.generation(generation))
    assert (ended["status"], ada.saved_text(ended)) == ("done", words_text(30))


def test_a_socket_that_vanishes_with_its_prompt_does_not_lose_it(ada, site):
    prompt, conversation = unique("Gone."), ada.conversation()
    with ada.socket() as socket:
        socket.wait("hello")
        socket.submit(prompt, conversation=conversation, model="openai:words:3")
        socket.connection.socket.shutdown(2)
    # Either nothing was accepted, or all of it is answered.
    deadline = time.monotonic() + 2
    while not (messages := ada.messages(conversation)) and time.monotonic() < deadline:
        time.sleep(0.02)
    if messages:
        assert ada.ended(ada.generation(messages[1]["generation"]))["status"] == "done"
        assert len(asked(site, prompt)) == 1


def test_aborting_the_event_stream_does_not_stop_the_answer(ada):
    path = f"/conversations/{ada.conversation()}/messages/"
    with ada.stream(path, method="POST", text="Count.", model="openai:words:30@40") as stream:
        next(iter(stream))
    (answer,) = [m for m in ada.messages(path.split("/")[2]) if m["role"] == "assistant"]
    assert ada.generation(answer["generation"])["status"] == "running"
    ended = ada.ended(ada.generation(answer["generation"]))
    assert (ended["status"], ada.saved_text(ended)) == ("done", words_text(30))

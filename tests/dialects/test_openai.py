"""The OpenAI dialect with the official Python client; numbers are those of the checklist 5.4."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import httpx
import openai
import pytest

from tests.guarantees.clients import check_log
from tests.upstream import words_text

PREFIXES = ("/v1", "/openai/v1")
# Generous: they only tell "at once" from "when the answer has ended".
AT_ONCE = 5.0


@pytest.fixture
def client(site, ada):
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=0) as client:
        yield client


def user(text):
    return {"role": "user", "content": text}


def told(*texts):
    """Return messages of user and assistant in turn."""
    return [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(texts)]


def create(client, model, messages=None, **options):
    return client.chat.completions.create(
        model=f"openai:{model}", messages=messages or [user("Hello")], **options
    )


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def generation_of(answer):
    return str(UUID(hex=answer.id.removeprefix("chatcmpl-")))


def post(site, person, **body):
    """Send a request without the client, which retries and reads the stream its own way."""
    return httpx.post(
        f"{site.url}/v1/chat/completions",
        headers={"Authorization": f"Bearer {person.key}"},
        json={"messages": [user("Hello")]} | body,
        timeout=30,
    )


# The checklist --------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_5_4_01_models_are_listed_and_retrieved(site, ada, prefix):
    with openai.OpenAI(base_url=site.url + prefix, api_key=ada.key) as client:
        models = client.models.list().data
        assert {"openai:fake", "openai:echo", "demo"} <= {model.id for model in models}
        assert {model.object for model in models} == {"model"}
        model = client.models.retrieve("openai:fake")
        assert (model.id, model.object, model.owned_by) == ("openai:fake", "model", "openai")
        assert type(model.created) is int
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("nothing")
        assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_5_4_02_an_answer_comes_whole(site, ada, prefix):
    with openai.OpenAI(base_url=site.url + prefix, api_key=ada.key) as client:
        answer = create(client, "words:30")
    assert answer.object == "chat.completion"
    assert answer.id.startswith("chatcmpl-")
    assert abs(answer.created - time.time()) < 600
    assert answer.model == "openai:words:30"
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", words_text(30))
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (7, 30, 37)


def test_5_4_03_an_answer_is_streamed_role_content_finish_done(site, ada, client):
    chunks = list(create(client, "words:30", stream=True))
    assert (chunks[0].choices[0].delta.role, chunks[0].choices[0].delta.content) == (
        "assistant",
        "",
    )
    assert text_of(chunks) == words_text(30)
    assert chunks[-1].choices[0].finish_reason == "stop"
    raw = post(site, ada, model="openai:words:3", stream=True)
    assert raw.headers["content-type"] == "text/event-stream"
    assert raw.text.endswith("data: [DONE]\n\n")


def test_5_4_03_reasoning_is_streamed_apart_from_the_text(client):
    chunks = list(create(client, "reasoning:reasoning", stream=True))
    reasoning = [getattr(c.choices[0].delta, "reasoning_content", None) for c in chunks]
    assert "".join(part or "" for part in reasoning) == "Let me think about it."
    assert text_of(chunks) == "The answer."
    whole = create(client, "reasoning:reasoning").choices[0].message
    assert (whole.content, whole.reasoning_content) == ("The answer.", "Let me think about it.")


def test_5_4_04_usage_comes_only_when_it_is_asked_for(site, ada, client):
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    *before, last = list(create(client, "words:3", **asked))
    assert last.choices == []
    assert last.usage.total_tokens == 10
    assert [chunk.usage for chunk in before] == [None] * len(before)
    raw = post(site, ada, model="openai:words:3", **asked).text
    assert raw.count('"usage":null') == raw.count("data: {") - 1
    for options in ({}, {"stream_options": {"include_usage": False}}):
        chunks = list(create(client, "words:3", stream=True, **options))
        assert all(chunk.choices for chunk in chunks)
        assert '"usage"' not in post(site, ada, model="demo", stream=True, **options).text


CLIENT_ERRORS = [
    ({"model": "nothing"}, openai.NotFoundError, 404, "model_not_found", "model"),
    ({"n": 2}, openai.BadRequestError, 400, "unsupported_parameter", "n"),
    ({"temperature": 9}, openai.BadRequestError, 400, "bad_request", "temperature"),
    ({"messages": [user("x" * 70_000)]}, openai.APIStatusError, 413, "prompt_too_long", None),
]


@pytest.mark.parametrize(("fields", "kind", "status", "code", "param"), CLIENT_ERRORS)
def test_5_4_05_a_refusal_is_the_clients_own_error(client, fields, kind, status, code, param):
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(
                **{"model": "demo", "messages": [user("Hello")], "stream": stream} | fields
            )
        error = caught.value
        assert (error.status_code, error.code, error.param) == (status, code, param)
        assert error.type == "invalid_request_error"
        assert error.request_id.startswith("req_")


MODEL_ERRORS = [
    ("status:429:7", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("status:404", openai.NotFoundError, 404, "model_not_found"),
    ("context-too-long", openai.BadRequestError, 400, "context_length_exceeded"),
    ("status:401", openai.InternalServerError, 502, "upstream_auth"),
    ("eof-after:3", openai.InternalServerError, 502, "upstream_truncated"),
]


@pytest.mark.parametrize(("mode", "kind", "status", "code"), MODEL_ERRORS)
def test_5_4_05_a_model_that_fails_has_a_status_of_its_own(site, ada, mode, kind, status, code):
    site.upstream.script(*[mode] * 3)  # The site itself tries again.
    patient = openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=2)
    with patient, pytest.raises(kind) as caught:
        create(patient, "fake", [user(f"A prompt for {mode}")])
    assert (caught.value.status_code, caught.value.code) == (status, code)
    prompts = {entry["body"]["messages"][-1]["content"] for entry in site.upstream.journal}
    assert prompts == {f"A prompt for {mode}"}
    # What was begun is not begun again by the client: one conversation has that prompt.
    found = ada.http.get("/conversations/", params={"q": f"A prompt for {mode}"}).json()["items"]
    assert len(found) == 1


def test_5_4_05_without_a_key_nothing_is_told(site, bob):
    for key in ("wrong", ""):
        for path in ("models", "models/demo", "chat/completions", "embeddings"):
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            method = "POST" if path == "chat/completions" else "GET"
            answer = httpx.request(method, f"{site.url}/v1/{path}", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["x-request-id"]
            error = answer.json()["error"]
            assert error.keys() == {"message", "type", "param", "code"}
            assert error["code"] == "invalid_api_key"
    stranger = openai.OpenAI(base_url=f"{site.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
    # A session is no key here: no page of another site can ask in its name.
    assert bob.browser.get("/v1/models").status_code == 401


def test_5_4_05_what_is_not_here_is_refused_in_the_same_form(site, ada):
    headers = {"Authorization": f"Bearer {ada.key}"}
    for method, path, status in (("GET", "chat/completions", 405), ("POST", "embeddings", 404)):
        answer = httpx.request(method, f"{site.url}/v1/{path}", headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize("mode", ["error-after:3", "reset-after:3", "cut-after:3", "eof-after:3"])
def test_5_4_06_a_failure_in_mid_stream_raises_after_the_text(client, mode):
    chunks = []
    with pytest.raises(openai.APIError) as caught:
        chunks.extend(create(client, mode, stream=True))
    assert text_of(chunks) == words_text(3)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * len(chunks)
    assert caught.value.code.startswith("upstream_")


def test_5_4_07_a_silent_model_is_waited_for_with_comments(site, ada, client):
    steps = [{"delta": "a"}, {"sleep": 2.5}, {"delta": "b"}, {"finish": "stop"}, {"done": True}]
    site.upstream.script(steps, steps)
    raw = post(site, ada, model="openai:fake", stream=True).text
    assert ": keep-alive\n\n" in raw
    assert {line.partition(":")[0] for line in raw.split("\n") if line} == {"data", ""}
    assert text_of(create(client, "fake", stream=True)) == "ab"


def test_5_4_08_a_length_and_a_stop_reach_the_model(site, client):
    options = {"max_tokens": 5, "stop": ["x", "y"], "temperature": 0.25, "top_p": 0.5}
    create(client, "echo", **options)
    body = site.upstream.journal[-1]["body"]
    assert {name: body[name] for name in options} == options
    create(client, "echo", max_completion_tokens=6, stop="z")
    body = site.upstream.journal[-1]["body"]
    assert (body["max_completion_tokens"], body["stop"]) == (6, ["z"])
    assert not {"max_tokens", "temperature", "top_p"} & body.keys()
    assert create(client, "finish:length").choices[0].finish_reason == "length"


def test_5_4_08_the_demo_model_ends_at_a_length_and_before_a_stop(client):
    def ask(**options):
        answer = client.chat.completions.create(model="demo", messages=[user("Hi")], **options)
        return answer.choices[0], answer.usage.completion_tokens

    choice, written = ask(max_tokens=3)
    assert (choice.finish_reason, written) == ("length", 3)
    choice, _ = ask(stop=["demonstration"])
    assert choice.finish_reason == "stop"
    assert choice.message.content
    assert "demonstration" not in choice.message.content


def test_5_4_09_content_may_come_in_parts(site, client):
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "world"}]
    assert create(client, "echo", [user(parts)]).choices[0].message.content == "Hello world"
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(openai.BadRequestError) as caught:
        create(client, "echo", [user([*parts, image])])
    assert caught.value.param == "messages.0.content"


def test_5_4_10_an_unknown_model_is_not_found(client):
    for stream in (False, True):
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(
                model="gpt-nothing", messages=[user("Hello")], stream=stream
            )
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_5_4_11_a_client_that_leaves_a_stream_stops_the_answer(site, ada, client):
    stream = create(client, "infinite@50", stream=True)
    first = next(iter(stream))
    next(iter(stream))
    left_at = time.monotonic()
    stream.close()
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)
    assert site.upstream.journal[-1]["closed"] - left_at < AT_ONCE
    ended = ada.ended({"id": generation_of(first)} | ada.generation(generation_of(first)))
    assert ended["status"] == "stopped"


def test_5_4_11_the_model_server_is_let_go_of_within_200_ms(site, client):
    def delay():
        site.upstream.reset()
        stream = create(client, "infinite@50", stream=True)
        [next(stream) for _ in range(2)]  # The role, then text: the model has been asked.
        left_at = time.monotonic()
        stream.close()
        assert site.upstream.wait_for(lambda journal: journal[0]["closed"], timeout=AT_ONCE)
        return site.upstream.journal[0]["closed"] - left_at

    # The best of some tries: a machine that is busy elsewhere says nothing about the others.
    assert any(delay() < 0.2 for _ in range(10))


def test_5_4_11_a_client_that_waits_no_longer_stops_the_answer(site, ada):
    with suppress(httpx.TimeoutException), httpx.Client(timeout=1.5) as impatient:
        impatient.post(
            f"{site.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {ada.key}"},
            json={"model": "openai:infinite@50", "messages": [user("Hello")]},
        )
        pytest.fail("An answer without an end has ended.")
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)


UPSTREAMS = {
    "words:3": words_text(3),
    "no-done": words_text(3),
    "no-usage": words_text(3),
    "usage-in-finish": words_text(3),
    "null-content": "Hello",
    "reasoning:reasoning": "The answer.",
    "reasoning:reasoning_content": "The answer.",
    "reasoning:thinking": "The answer.",
    "raw-text:a\u2028b\u0085c": "a\u2028b\u0085c",
    "cut-after:3": openai.APIError,
    "error-field-after:3": openai.APIError,
    "error-done-after:3": openai.APIError,
}


@pytest.mark.parametrize("mode", UPSTREAMS)
def test_5_4_12_whatever_the_model_server_sends_the_client_is_told_the_truth(client, mode):
    expected = UPSTREAMS[mode]
    if isinstance(expected, str):
        assert text_of(create(client, mode, stream=True)) == expected
        return
    with pytest.raises(expected):
        list(create(client, mode, stream=True))


def test_5_4_12_bytes_one_by_one_and_lines_of_any_end(client):
    texts = {text_of(create(client, mode, stream=True)) for mode in ("bytes", "crlf", "markdown")}
    assert len(texts) == 1


def test_5_4_13_the_finish_reason_is_null_until_the_last_chunk(client):
    chunks = list(create(client, "words:30@200", stream=True))
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert len(reasons) > 3
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_5_4_14_fifty_streams_never_mix(site, ada, client):
    def ask(number):
        prompt = " ".join(f"p{number}w{i}" for i in range(40))
        chunks = list(create(client, "echo@400", [user(prompt)], stream=True))
        return prompt, {chunk.id for chunk in chunks}, text_of(chunks)

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(ask, range(50)))
    assert all(len(ids) == 1 for _, ids, _ in found)
    assert len({next(iter(ids)) for _, ids, _ in found}) == 50
    assert all(prompt == text for prompt, _, text in found)


# One log, whatever the dialect -----------------------------------------------------


def test_an_answer_is_an_ordinary_conversation(ada, client):
    answer = create(client, "words:30", [user("An ordinary prompt")])
    generation = ada.generation(generation_of(answer))
    events = ada.streamed(generation["id"])
    check_log(events)
    rows = ada.messages(generation["conversation"])
    assert [(row["role"], row["text"]) for row in rows] == [
        ("user", "An ordinary prompt"),
        ("assistant", words_text(30)),
    ]
    assert "An ordinary prompt" in ada.browser.get(f"/c/{generation['conversation']}/").text
    again = ada.ask("And again", conversation=generation["conversation"], model="openai:words:3")
    assert ada.ended(again)["status"] == "done"


def test_an_answer_can_be_watched_and_stopped_from_another_dialect(ada, client):
    stream = create(client, "infinite@50", stream=True)
    generation = generation_of(next(iter(stream)))
    with ada.socket() as socket:
        socket.send("follow", generation=generation)
        socket.wait("events", generation=generation)
        socket.send("stop", generation=generation)
        seen = list(stream)
    assert seen[-1].choices[0].finish_reason == "stop"
    ended = ada.generation(generation)
    assert ended["status"] == "stopped"
    assert ada.saved_text(ended) == text_of(seen)


def test_a_conversation_that_is_told_again_goes_on(site, ada, client):
    answers, ids = [], set()
    for number in range(3):
        prompts = [f"Turn {i} of a long talk" for i in range(number + 1)]
        turns = [text for pair in zip(prompts, answers, strict=False) for text in pair]
        messages = [{"role": "system", "content": "Be brief."}, *told(*turns, prompts[-1])]
        answer = create(client, "echo", messages)
        assert site.upstream.journal[-1]["body"]["messages"] == messages
        answers.append(answer.choices[0].message.content)
        ids.add(ada.generation(generation_of(answer))["conversation"])
    assert len(ids) == 1
    (conversation,) = ids
    page = ada.browser.get(f"/c/{conversation}/").text
    assert page.count("Turn 0 of a long talk") > 1
    assert "Be brief." not in page
    rows = ada.messages(conversation)
    assert [row["role"] for row in rows] == ["system", *["user", "assistant"] * 3]
    assert [row["parent"] for row in rows] == [None, *[row["id"] for row in rows[:-1]]]


def test_a_conversation_that_is_told_otherwise_is_another(ada, bob, site, client):
    first = create(client, "words:3", [user("The same beginning")])
    text = first.choices[0].message.content
    told_otherwise = [
        told("The same beginning", "Not what was answered", "Go on"),
        told("Another beginning", text, "Go on"),
        [{"role": "system", "content": "Be brief."}, *told("The same beginning", text, "Go on")],
    ]
    home = ada.generation(generation_of(first))["conversation"]
    for messages in told_otherwise:
        other = ada.generation(generation_of(create(client, "words:3", messages)))
        assert other["conversation"] != home
        rows = ada.messages(other["conversation"])[:-1]
        assert [{"role": r["role"], "content": r["text"]} for r in rows] == messages
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=bob.key) as stranger:
        answer = create(stranger, "words:3", told("The same beginning", text, "Go on"))
    assert bob.generation(generation_of(answer))["conversation"] != home


def test_requests_at_the_same_time_do_not_wait_for_each_other(ada, client):
    text = create(client, "words:3", [user("Two ways on")]).choices[0].message.content
    slow = create(client, "infinite@50", told("Two ways on", text, "One way"), stream=True)
    next(iter(slow))
    answer = create(client, "words:3", told("Two ways on", text, "Another way"))
    assert answer.choices[0].message.content == words_text(3)
    slow.close()


def test_the_sites_system_prompt_stands_where_the_client_gives_none(site, client):
    create(client, "words:3", [user("No system")])
    first, _ = site.upstream.journal[-1]["body"]["messages"]
    assert first == {"role": "system", "content": "You are a helpful assistant."}


def test_a_key_asked_with_twice_is_answered_once(site, client):
    options = {"extra_headers": {"Idempotency-Key": "once"}}
    first = create(client, "words:3", [user("Only once")], **options)
    again = create(client, "words:3", [user("Only once")], **options)
    assert again.id == first.id
    assert len(site.upstream.journal) == 1
    with pytest.raises(openai.ConflictError):
        create(client, "words:3", [user("Something else")], **options)


def test_nothing_of_the_dialect_is_read_from_the_body_but_json(site, ada):
    for body in (b"", b"[]", b"{", b"\xff", b'{"messages": NaN}'):
        answer = httpx.post(
            f"{site.url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {ada.key}"},
            content=body,
        )
        assert answer.status_code == 400
        assert json.loads(answer.text)["error"]["code"] == "bad_request"

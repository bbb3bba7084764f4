"""The OpenAI dialect with the official JavaScript client; numbers as in the checklist 5.4."""

from typing import Any

import pytest

from tests.dialects.test_openai import (
    AT_ONCE,
    CLIENT_ERRORS,
    PREFIXES,
    UPSTREAMS,
    user,
)
from tests.upstream import words_text


@pytest.fixture
def call(node, site, ada):
    """A function that makes the client's calls, all at once, and returns what each has seen."""

    def call(*calls: dict[str, Any], prefix="/v1", key=None, **options):
        key = ada.key if key is None else key
        return node.run("openai.mjs", site.url + prefix, key, options, input=calls)

    return call


def create(model, messages=None, *, leave=None, **body):
    messages = messages or [user("Hello")]
    return {"create": {"model": f"openai:{model}", "messages": messages, **body}, "leave": leave}


def text_of(seen):
    deltas = [chunk["choices"][0]["delta"] for chunk in seen["chunks"] if chunk["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_5_4_01_models_are_listed_and_retrieved(call, prefix):
    calls = {"list": True}, {"retrieve": "openai:fake"}, {"retrieve": "nothing"}
    listed, found, missing = call(*calls, prefix=prefix)
    assert {"openai:fake", "openai:echo", "demo"} <= {model["id"] for model in listed["value"]}
    assert found["value"] in listed["value"]
    assert missing["error"]["class"] == "NotFoundError"
    assert missing["error"]["code"] == "model_not_found"


def test_5_4_02_an_answer_comes_whole(call):
    (seen,) = call(create("words:30"))
    (choice,) = seen["value"]["choices"]
    assert (choice["message"]["role"], choice["message"]["content"]) == (
        "assistant",
        words_text(30),
    )
    assert choice["finish_reason"] == "stop"
    assert seen["value"]["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 30,
        "total_tokens": 37,
    }


def test_5_4_03_an_answer_is_streamed_role_content_finish(call):
    (seen,) = call(create("words:30", stream=True))
    first, *_, last = seen["chunks"]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert text_of(seen) == words_text(30)
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    heads = {(each["id"], each["created"], each["model"]) for each in seen["chunks"]}
    assert len(heads) == 1


def test_5_4_04_usage_comes_only_when_it_is_asked_for(call):
    told = [{"stream_options": {"include_usage": asked}} for asked in (True, False)]
    asked, unasked = call(*[create("words:3", stream=True, **options) for options in told])
    *before, last = asked["chunks"]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 10)
    assert [chunk["usage"] for chunk in before] == [None] * len(before)
    assert all(chunk["choices"] and "usage" not in chunk for chunk in unasked["chunks"])


@pytest.mark.parametrize(("fields", "kind", "status", "code", "param"), CLIENT_ERRORS)
def test_5_4_05_a_refusal_is_the_clients_own_error(call, fields, kind, status, code, param):
    body = {"model": "demo", "messages": [user("Hello")]} | fields
    for seen in call({"create": body}, {"create": body | {"stream": True}}):
        error = seen["error"]
        assert error["requestID"].startswith("req_")
        assert error["isAPIError"]
        # This client has no class of its own for 413.
        assert error["class"] == ("APIError" if status == 413 else kind.__name__)
        assert (error["status"], error["code"], error["param"]) == (status, code, param)
        assert error["type"] == "invalid_request_error"


MODEL_ERRORS = {
    "status:429:120": ("RateLimitError", 429, "rate_limit_exceeded"),
    "status:404": ("NotFoundError", 404, "model_not_found"),
    "context-too-long": ("BadRequestError", 400, "context_length_exceeded"),
    "status:401": ("InternalServerError", 502, "upstream_auth"),
    "eof-after:3": ("InternalServerError", 502, "upstream_truncated"),
}


def test_5_4_05_a_model_that_fails_has_a_status_of_its_own(call, site):
    found = call(*map(create, MODEL_ERRORS), maxRetries=2)
    for seen, (mode, expected) in zip(found, MODEL_ERRORS.items(), strict=True):
        error = seen["error"]
        assert (error["class"], error["status"], error["code"]) == expected
        # The client, which would try twice more, has been told not to.
        assert [entry["mode"] for entry in site.upstream.journal].count(mode) == 1


def test_5_4_05_without_a_key_nothing_is_told(call):
    for seen in call({"list": True}, create("words:3"), key="wrong"):
        assert seen["error"]["class"] == "AuthenticationError"
        assert (seen["error"]["status"], seen["error"]["code"]) == (401, "invalid_api_key")


MID_STREAM = ["error-after:3", "reset-after:3", "cut-after:3", "eof-after:3"]


def test_5_4_06_a_failure_in_mid_stream_raises_after_the_text(call):
    for seen in call(*[create(mode, stream=True) for mode in MID_STREAM]):
        assert text_of(seen) == words_text(3)
        assert {chunk["choices"][0]["finish_reason"] for chunk in seen["chunks"]} == {None}
        assert seen["error"]["isAPIError"]
        assert seen["error"]["code"].startswith("upstream_")


def test_5_4_07_a_silent_model_is_waited_for(call, site):
    site.upstream.script(
        [{"delta": "a"}, {"sleep": 2.5}, {"delta": "b"}, {"finish": "stop"}, {"done": True}]
    )
    (seen,) = call(create("fake", stream=True))
    assert (text_of(seen), seen.get("error")) == ("ab", None)


def test_5_4_08_a_length_and_a_stop_reach_the_model(call, site):
    options = {"max_tokens": 5, "stop": ["x", "y"], "temperature": 0.25, "top_p": 0.5}
    call(create("echo", **options))
    body = site.upstream.journal[-1]["body"]
    assert {name: body[name] for name in options} == options
    demo = {"model": "demo", "messages": [user("Hello")]}
    cut, stopped = call(
        {"create": demo | {"max_tokens": 3}}, {"create": demo | {"stop": "demonstration"}}
    )
    assert cut["value"]["choices"][0]["finish_reason"] == "length"
    choice = stopped["value"]["choices"][0]
    assert choice["finish_reason"] == "stop"
    assert "demonstration" not in choice["message"]["content"]


def test_5_4_09_content_may_come_in_parts(call):
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "world"}]
    (seen,) = call(create("echo", [user(parts)]))
    assert seen["value"]["choices"][0]["message"]["content"] == "Hello world"


def test_5_4_11_a_client_that_leaves_a_stream_stops_the_answer(call, site, ada):
    (seen,) = call(create("infinite@50", stream=True, leave=3))
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)
    assert len(seen["chunks"]) == 3


def test_5_4_12_whatever_the_model_server_sends_the_client_is_told_the_truth(call):
    for (mode, expected), seen in zip(
        UPSTREAMS.items(), call(*[create(mode, stream=True) for mode in UPSTREAMS]), strict=True
    ):
        if isinstance(expected, str):
            assert (mode, text_of(seen), seen.get("error")) == (mode, expected, None)
        else:
            assert (mode, seen["error"]["isAPIError"]) == (mode, True)


def test_5_4_13_the_finish_reason_is_null_until_the_last_chunk(call):
    (seen,) = call(create("words:30@200", stream=True))
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in seen["chunks"]]
    assert len(reasons) > 3
    assert reasons == [None] * (len(reasons) - 1) + ["stop"]


def test_5_4_14_fifty_streams_never_mix(call):
    prompts = [" ".join(f"p{number}w{i}" for i in range(40)) for number in range(50)]
    found = call(*[create("echo@400", [user(prompt)], stream=True) for prompt in prompts])
    ids = [{chunk["id"] for chunk in seen["chunks"]} for seen in found]
    assert all(len(each) == 1 for each in ids)
    assert len(set.union(*ids)) == 50
    assert [text_of(seen) for seen in found] == prompts

"""What model servers do wrong: readers get the text so far and one clear end."""

import json
import time
from uuid import uuid4

import pytest

from tests.guarantees.clients import check_log
from tests.guarantees.readers import text_of
from tests.guarantees.sites import CANARIES, asked, site_with_people
from tests.upstream import MARKDOWN, FakeUpstream, unused_port, words_text

SOON = 0.25

LIMITS = {
    "CHAT_FIRST_TOKEN_TIMEOUT": "1.5",
    "CHAT_IDLE_TIMEOUT": "1",
    "CHAT_CONNECT_TIMEOUT": "1",
    "CHAT_MAX_GENERATION_SECONDS": "8",
    "CHAT_MAX_ANSWER_BYTES": "20000",
    "OLLAMA_HOST": "http://ollama.invalid",
}
OURS = "chat.llm.openai_compatible.OpenAICompatibleChat"

# model, error code, tokens kept, requests that the model server sees.
FAULTS = {
    "c01-refused": ("refused", "upstream_unreachable", 0, 0),
    "c01-dns": ("ollama:any", "upstream_unreachable", 0, 0),
    "c01-tls": ("tls", "upstream_unreachable", 0, 0),
    "c02-no-headers": ("openai:hang-before-headers", "upstream_timeout", 0, 1),
    "c02-no-body": ("openai:silent", "upstream_timeout", 0, 1),
    "c03-silence": ("openai:hang-after:3", "upstream_timeout", 3, 1),
    "c04-comments-only": ("openai:comments", "upstream_timeout", 0, 1),
    "c04-comments-after": ("openai:comments-after:3", "upstream_timeout", 3, 1),
    "c04-drip": ("openai:infinite@2", "generation_timeout", None, 1),
    "c05-reset": ("openai:reset-after:3", "upstream_reset", 3, 1),
    "c05-cut": ("openai:cut-after:3", "upstream_reset", 3, 1),
    "c05-reset-before-any": ("openai:reset-before-headers", "upstream_reset", 0, 3),
    "c06-clean-end": ("openai:eof-after:3", "upstream_truncated", 3, 1),
    "c06-empty": ("openai:empty", "upstream_truncated", 0, 1),
    "c07-html": ("openai:html", "upstream_protocol", 0, 1),
    "c07-html-after": ("openai:html-after:3", "upstream_protocol", 3, 1),
    "c08-garbage": ("openai:garbage", "upstream_protocol", 0, 1),
    "c08-garbage-after": ("openai:garbage-after:3", "upstream_protocol", 3, 1),
    "c09-error": ("openai:error-after:3", "upstream_error", 3, 1),
    "c09-error-event": ("openai:error-event-after:3", "upstream_error", 3, 1),
    "c09-error-then-done": ("openai:error-done-after:3", "upstream_error", 3, 1),
    "c09-error-429": ("openai:error-code-after:3:429", "upstream_rate_limited", 3, 1),
    "c09-error-before-any": ("openai:error-after:0", "upstream_error", 0, 3),
    "c10-wait-2": ("openai:status:429:2", "upstream_rate_limited", 0, 3),
    "c10-wait-120": ("openai:status:429:120", "upstream_rate_limited", 0, 1),
    "c10-wait-garbage": ("openai:status:429:soon", "upstream_rate_limited", 0, 3),
    "c10-503": ("openai:status:503", "upstream_error", 0, 3),
    "c11-401": ("openai:status:401", "upstream_auth", 0, 1),
    "c11-403": ("openai:status:403", "upstream_auth", 0, 1),
    "c11-404": ("openai:status:404", "upstream_model_not_found", 0, 1),
    "c11-400": ("openai:status:400", "upstream_rejected", 0, 1),
    "c11-context": ("openai:context-too-long", "context_too_long", 0, 1),
    "c13-never-ends": ("openai:infinite", "too_long", None, 1),
    "c13-one-huge-event": ("openai:big:30000", "too_long", None, 1),
}
NOT_RETRYABLE = {
    "upstream_auth", "upstream_model_not_found", "upstream_rejected",
    "context_too_long", "too_long",
}  # fmt: skip


@pytest.fixture(scope="module")
def served():
    dead = f"http://127.0.0.1:{unused_port()}/v1"
    models = {"refused": {"class": OURS, "model": "m", "base_url": dead, "api_key": CANARIES[0]}}
    with FakeUpstream() as upstream:
        # It hangs up on TLS, as any plain server does.
        tls = f"https://127.0.0.1:{upstream.port}/v1"
        models["tls"] = {"class": OURS, "model": "m", "base_url": tls}
        env = LIMITS | {"CHAT_MODELS": json.dumps(models)}
        with site_with_people(upstream=upstream, **env) as served:
            yield served


@pytest.fixture(scope="module")
def faulty(served):
    return served[0]


@pytest.fixture(scope="module")
def carl(served):
    """Somebody who asks on the site with short patience."""
    return served[1].ada


@pytest.fixture(scope="module")
def failing(carl):
    """All faults, asked for at once: most of them are about waiting."""
    prompts = {name: f"{name} {uuid4().hex[:8]}" for name in FAULTS}
    return {
        name: (prompt, carl.ask(prompt, model=FAULTS[name][0])) for name, prompt in prompts.items()
    }


@pytest.mark.parametrize("name", FAULTS, ids=[f"{name}" for name in FAULTS])
def test_c01_to_c13_a_fault_ends_the_answer_clearly(faulty, carl, failing, name):
    _, code, kept, requests = FAULTS[name]
    prompt, generation = failing[name]
    started = time.monotonic()
    events = carl.streamed(generation["id"])
    assert time.monotonic() - started < 12
    check_log(events)
    end = events[-1].fields
    assert (events[-1].kind, end["code"]) == ("failed", code)
    assert end["retryable"] == (code not in NOT_RETRYABLE)
    found = carl.generation(generation["id"])
    error = {name: end[name] for name in ("code", "message", "retryable")}
    assert (found["status"], found["error"], found["usage"]) == ("failed", error, None)
    text = carl.saved_text(found)
    assert text == text_of(events)
    if kept is None:
        assert text.startswith("xxx") or (text and words_text(10_000).startswith(text))
        assert len(text.encode()) <= 20_000
    else:
        assert text == words_text(kept)
    entries = asked(faulty, prompt)
    assert len(entries) == requests
    said = "".join(event.data for event in events) + json.dumps(found)
    for secret in (*CANARIES, "Provider words", "Traceback", "JSONDecode", "127.0.0.1", "<html"):
        assert secret not in said


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault[3] == 3])
def test_c10_each_retry_is_told_to_the_reader(carl, failing, name):
    events = carl.streamed(failing[name][1]["id"])
    steps = [event.fields for event in events if event.kind == "step"]
    assert [(step["name"], step["attempt"]) for step in steps] == [("retry", 1), ("retry", 2)]
    assert all(step["reason"] == FAULTS[name][1] for step in steps)
    if name == "c10-wait-2":
        assert [step["wait"] for step in steps] == [2, 2]


@pytest.mark.parametrize("name", ["c02-no-headers", "c03-silence", "c04-drip", "c13-never-ends"])
def test_c13_the_connection_to_the_model_is_closed_with_the_end(faulty, carl, failing, name):
    carl.streamed(failing[name][1]["id"])
    (entry,) = asked(faulty, failing[name][0])
    assert faulty.upstream.wait_for(lambda _: entry["closed"] is not None)


def test_c13_an_endless_answer_is_cut_within_moments(faulty, carl):
    prompt = f"endless {uuid4().hex[:8]}"
    events = carl.streamed(carl.ask(prompt, model="openai:infinite")["id"])
    ended = time.monotonic()
    (entry,) = asked(faulty, prompt)
    assert faulty.upstream.wait_for(lambda _: entry["closed"] is not None)
    assert entry["closed"] - ended <= SOON
    assert len(text_of(events)) > 10_000


def test_a_huge_event_of_the_model_is_split_for_its_readers(carl):
    events = carl.streamed(carl.ask("Big.", model="openai:big:19000")["id"])
    check_log(events)
    assert text_of(events) == "x" * 19_000
    assert max(len(event.data) for event in events) < 17_000


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop", "tool_calls"])
def test_c12_a_finish_reason_is_passed_on(carl, reason):
    generation = carl.ask("Speak.", model=f"openai:finish:{reason}")
    end = carl.streamed(generation["id"])[-1]
    assert (end.kind, end.fields["finish_reason"]) == ("done", reason)
    found = carl.ended(generation)
    assert (found["status"], found["finish_reason"]) == ("done", reason)


USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


@pytest.mark.parametrize(
    ("mode", "usage"),
    [("words:3", USAGE), ("usage-in-finish", USAGE), ("no-usage", None), ("usage-negative", None),
     ("usage-text", None), ("no-done", USAGE), ("hang-after-finish", None)],
)  # fmt: skip
def test_c14_usage_is_what_the_model_counted_or_nothing(carl, mode, usage):
    generation = carl.ask("Speak.", model=f"openai:{mode}")
    end = carl.streamed(generation["id"])[-1]
    assert (end.kind, end.fields["usage"]) == ("done", usage)
    found = carl.ended(generation)
    assert (found["usage"], carl.saved_text(found)) == (usage, words_text(3))


def test_c15_a_kept_connection_that_was_closed_is_no_error(faulty, carl):
    for _ in range(3):
        prompt = f"again {uuid4().hex[:8]}"
        found = carl.ended(carl.ask(prompt, model="openai:close-after"))
        assert (found["status"], carl.saved_text(found)) == ("done", MARKDOWN)
        assert len(asked(faulty, prompt)) == 1


STOPPABLE = {
    "before-headers": ("openai:hang-before-headers", 0),
    "before-a-body": ("openai:silent", 0),
    "in-silence": ("openai:hang-after:3", 1),
    "in-mid-answer": ("openai:infinite@50", 3),
}


@pytest.mark.parametrize(("model", "deltas"), STOPPABLE.values(), ids=STOPPABLE)
def test_c17_stop_reaches_a_model_that_hangs(faulty, carl, model, deltas):
    prompt = f"stop {uuid4().hex[:8]}"
    generation = carl.ask(prompt, model=model)
    assert faulty.upstream.wait_for(lambda _: asked(faulty, prompt))
    with carl.follow(generation["id"]) as stream:
        seen = iter(stream)
        events = [next(seen) for _ in range(1 + deltas)]
        started = time.monotonic()
        assert carl.stop(generation["id"])["status"] == "stopped"
        events += seen
    (entry,) = asked(faulty, prompt)
    assert faulty.upstream.wait_for(lambda _: entry["closed"] is not None)
    assert entry["closed"] - started <= SOON
    check_log(events)
    assert events[-1].kind == "stopped"
    assert carl.saved_text(generation) == text_of(events)


def test_c17_stop_ends_a_wait_between_two_tries(faulty, carl):
    prompt = f"stop {uuid4().hex[:8]}"
    generation = carl.ask(prompt, model="openai:status:429:3")
    with carl.follow(generation["id"]) as stream:
        seen = iter(stream)
        assert [next(seen).kind for _ in range(2)] == ["started", "step"]
        started = time.monotonic()
        carl.stop(generation["id"])
        assert [event.kind for event in seen] == ["stopped"]
        assert time.monotonic() - started <= SOON + 0.25
    assert not faulty.upstream.wait_for(lambda _: len(asked(faulty, prompt)) > 1, timeout=3.2)

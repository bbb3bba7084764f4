import hashlib

import pytest

from chat.terminal.answers import Answer, Incomplete, Phase, Thread
from chat.terminal.failures import Refused
from chat.terminal.words import phase_of


def event(cursor, kind, **data):
    return {"cursor": cursor, "kind": kind, "data": data}


def end_of(text, **data):
    return {"length": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()} | data


LOG = [
    event(1, "started", model="demo", message="m"),
    event(2, "reasoning", text="Let me "),
    event(3, "reasoning", text="think."),
    event(4, "delta", text="Grüße, "),
    event(5, "delta", text="世界 👋🏽"),
    event(
        6, "done", finish_reason="stop", usage={"output_tokens": 3}, **end_of("Grüße, 世界 👋🏽")
    ),
]


@pytest.fixture
def answer():
    answer = Answer(Thread(), prompt="Hello")
    answer.accept(generation="g", message="m", place=0)
    return answer


def test_a_whole_log_is_the_answer(answer):
    answer.take(LOG)
    assert (answer.phase, answer.text, answer.thoughts) == (
        Phase.DONE,
        "Grüße, 世界 👋🏽",
        "Let me think.",
    )
    assert answer.is_over
    assert answer.usage == {"output_tokens": 3}


def test_the_phases_follow_the_events(answer):
    phases = []
    for each in (LOG[0], event(2, "step", name="retry", status="started")):
        answer.take([each])
        phases.append(answer.phase)
    answer.take([event(3, "delta", text="a")])
    assert [*phases, answer.phase] == [Phase.THINKING, Phase.RETRYING, Phase.WRITING]


def test_the_action_of_an_agent_is_known_while_it_runs(answer):
    steps = [("check_safety", "started"), ("check_safety", "done"), ("answer", "started")]
    seen = []
    for cursor, (name, status) in enumerate(steps, 1):
        answer.take([event(cursor, "step", name=name, status=status, sequence=cursor)])
        seen.append(phase_of(answer))
    assert seen == ["Thinking (check_safety)", "Thinking", "Thinking (answer)"]


def test_what_comes_twice_is_taken_once(answer):
    answer.take(LOG[:4])
    answer.take(LOG[2:5])
    answer.take(LOG)
    assert answer.text == "Grüße, 世界 👋🏽"


def test_a_gap_is_not_passed_over(answer):
    answer.take(LOG[:3])
    with pytest.raises(Incomplete):
        answer.take(LOG[4:])
    assert answer.cursor == 3
    answer.take(LOG[3:])
    assert answer.phase is Phase.DONE


@pytest.mark.parametrize("end", [end_of("Hello!"), end_of("Hello") | {"length": 4}])
def test_a_text_that_is_not_what_its_end_says_is_no_answer(answer, end):
    with pytest.raises(Incomplete):
        answer.take([event(1, "delta", text="Hello"), event(2, "done", **end)])
    assert not answer.is_over


def test_what_begins_anew_forgets_what_was_read(answer):
    answer.take(LOG[:5])
    answer.forget()
    answer.take(LOG)
    assert answer.text == "Grüße, 世界 👋🏽"


@pytest.mark.parametrize("kind", ["stopped", "interrupted"])
def test_the_text_of_an_answer_that_ended_early_is_kept(answer, kind):
    answer.take([event(1, "delta", text="Hel"), event(2, kind, **end_of("Hel"))])
    assert (answer.phase, answer.text) == (kind, "Hel")
    assert answer.is_retryable is (kind == "interrupted")


def test_a_failure_says_why_and_whether_to_try_again(answer):
    failure = {"code": "upstream_reset", "message": "It broke.", "retryable": True}
    answer.take([event(1, "delta", text="Hel"), event(2, "failed", **failure, **end_of("Hel"))])
    assert (answer.phase, answer.reason, answer.is_retryable) == (Phase.FAILED, "It broke.", True)


def test_kinds_of_a_later_protocol_are_passed_over(answer):
    answer.take([event(1, "picture", url="x"), event(2, "delta", text="a")])
    assert answer.text == "a"


def test_one_that_waits_moves_up():
    answer = Answer(Thread(), prompt="Hello")
    answer.accept(generation="g", message="m", place=3)
    answer.move_up()
    assert (answer.phase, answer.place) == (Phase.QUEUED, 2)
    for _ in range(3):
        answer.move_up()
    assert answer.place == 1  # Next, until it begins.


def test_an_error_object_may_lack_anything(answer):
    for error in (None, {}, [], {"code": 1}, {"message": None, "retryable": "yes"}):
        refused = Refused.from_wire(error)
        assert refused.message
        assert refused.retryable is False

"""The judge finds what it is there to find, and nothing in a good history."""

import hashlib
import json
from copy import deepcopy

import pytest

from tests.faults.history import Ack, Asked, History, Reading, Row, check
from tests.guarantees.readers import Event

GENERATION = "g"


def event(cursor, kind="delta", **data):
    return Event(cursor, kind, json.dumps(data or {"text": f"w{cursor} "}))


def end(cursor, text, kind="done"):
    digest = hashlib.sha256(text.encode()).hexdigest()
    return event(cursor, kind, length=len(text), sha256=digest)


LOG = [event(1, "started", model="m"), event(2), event(3), event(4), end(5, "w2 w3 w4 ")]


@pytest.fixture
def history():
    """Two readers, one of whom came back, of one answer."""
    return History(
        readings=[
            Reading("ada", GENERATION, 0, LOG[:3]),
            Reading("ada", GENERATION, 3, LOG[3:]),
            Reading("bob", GENERATION, 0, list(LOG)),
        ],
        acks=[Ack("ada", "key", "Why?", GENERATION), Ack("ada", "key", "Why?", GENERATION)],
        asked=[Asked("Why?", 1.0), Asked("Why?", 2.0)],
        first_shown={GENERATION: 3.0},
        rows=[Row(GENERATION, "done", 5, "Why?", "w2 w3 w4 ", list(LOG))],
    )


def kinds(history):
    return {finding.kind for finding in check(history)}


def test_a_good_history_has_no_findings(history):
    assert check(history) == []


def test_a_good_history_whose_log_has_expired_has_no_findings(history):
    history.rows[0].events.clear()
    assert check(history) == []


def test_a_reader_that_saw_the_middle_only_of_an_expired_log_is_no_finding(history):
    history.rows[0].events.clear()
    history.readings[:] = [Reading("ada", GENERATION, 2, LOG[2:4])]
    assert check(history) == []


def test_a_gap_within_a_reading(history):
    del history.readings[2].events[2]
    assert kinds(history) == {"gap"}


def test_a_gap_at_the_beginning_of_a_reading(history):
    del history.readings[1].events[0]
    assert kinds(history) == {"gap"}


def test_a_repeat(history):
    history.readings[1].events.insert(0, LOG[2])
    assert kinds(history) == {"repeat"}


def test_other_bytes_for_another_reader(history):
    history.readings[2].events[3] = event(4, text="w4  ")
    assert kinds(history) == {"mismatch"}


def test_the_same_bytes_of_another_kind(history):
    history.readings[2].events[3] = LOG[3]._replace(kind="reasoning")
    assert kinds(history) == {"mismatch"}


def test_other_bytes_in_the_database_than_were_seen(history):
    history.rows[0].events[2] = event(3, text="w0 ")
    assert {"mismatch", "wrong-text"} <= kinds(history)


def test_two_ends(history):
    history.readings[2].events[3] = end(4, "w2 w3 ", "interrupted")
    assert {"two-ends", "mismatch"} <= kinds(history)


def test_bytes_after_the_end(history):
    history.readings[2].events.append(event(6))
    assert "after-end" in kinds(history)


def test_bytes_after_the_end_in_the_database(history):
    history.rows[0].events.append(event(6))
    assert "after-end" in kinds(history)


def test_seen_and_not_stored(history):
    row = history.rows[0]
    row.events[3:] = [end(4, "w2 w3 ", "interrupted")]
    row.status, row.cursor, row.text = "interrupted", 4, "w2 w3 "
    assert "not-durable" in kinds(history)


def test_seen_and_not_in_the_message_of_an_expired_log(history):
    row = history.rows[0]
    row.events.clear()
    row.text = "w2 w3 "
    assert kinds(history) == {"not-durable"}


def test_seen_and_no_row_at_all(history):
    history.acks.clear()
    history.rows.clear()
    assert kinds(history) == {"not-durable"}


def test_a_message_that_is_not_its_events(history):
    history.rows[0].text += "and more"
    assert kinds(history) == {"wrong-text"}


@pytest.mark.parametrize("field", ["length", "sha256"])
def test_an_end_that_claims_another_text(history, field):
    wrong = LOG[4].fields | {field: 7}
    for events in (*[reading.events for reading in history.readings[1:]], history.rows[0].events):
        events[-1] = Event(5, "done", json.dumps(wrong))
    assert kinds(history) == {"wrong-end"}


def test_a_row_that_says_another_end_than_its_log(history):
    history.rows[0].status = "stopped"
    assert kinds(history) == {"wrong-end"}


def test_a_log_without_an_end(history):
    for reading in history.readings[1:]:
        del reading.events[-1]
    del history.rows[0].events[-1]
    assert "wrong-end" in kinds(history)


def test_a_prompt_that_was_acknowledged_and_is_not_stored(history):
    history.acks.append(Ack("bob", "other", "How?", "h"))
    assert kinds(history) == {"lost-prompt"}


def test_a_prompt_that_is_stored_as_another(history):
    history.rows[0].prompt = "How?"
    assert "lost-prompt" in kinds(history)


def test_one_key_and_two_answers(history):
    history.rows.append(deepcopy(history.rows[0]))
    history.rows[1].generation = "h"
    history.acks[1] = history.acks[1]._replace(generation="h")
    assert kinds(history) == {"answered-twice"}


def test_an_answer_that_nobody_was_told_of_beside_the_one_that_was_is_one_too_many(history):
    history.rows.append(deepcopy(history.rows[0]))
    history.rows[1].generation = "h"
    assert kinds(history) == {"answered-twice"}


@pytest.mark.parametrize("status", ["running", "queued"])
def test_a_generation_that_never_ends(history, status):
    history.rows[0].status = status
    assert kinds(history) == {"not-ended"}


def test_the_model_asked_again_after_text_was_shown(history):
    history.asked.append(Asked("Why?", 4.0))
    assert kinds(history) == {"asked-again"}


def test_what_a_client_cannot_explain(history):
    history.complaints.append((GENERATION, "nothing came for 60 s"))
    assert kinds(history) == {"complaint"}

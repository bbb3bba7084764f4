import json
import re

from django.test import SimpleTestCase
from hypothesis import given

from chat.errors import Draining
from chat.events import EventKind
from chat.wire import ai_data
from tests.wire.test_ai_sdk import delta, log, notice, pieces, step

LINE = re.compile(r"([0-9a-k]):(.*)\n")


def lines(events):
    text = ai_data.LineEncoder().encode(events)
    found = LINE.findall(text)
    assert "".join(f"{code}:{value}\n" for code, value in found) == text
    return [(code, json.loads(value)) for code, value in found]


class DataStreamTests(SimpleTestCase):
    @given(pieces)
    def test_the_lines_hold_the_text_and_the_reasoning(self, texts):
        found = lines(log(*texts))
        for code, kind in (("0", EventKind.DELTA), ("g", EventKind.REASONING)):
            told = "".join(text for k, text in texts if k is kind)
            assert "".join(value for c, value in found if c == code) == told

    def test_an_answer_begins_with_its_id_and_ends_with_its_reason(self):
        end = {"finishReason": "length", "usage": {"promptTokens": 7, "completionTokens": 3}}
        assert lines(log(delta("a"), finish_reason="length")) == [
            ("f", {"messageId": "m"}),
            ("0", "a"),
            ("e", end | {"isContinued": False}),
            ("d", end),
        ]

    def test_a_failed_or_interrupted_answer_ends_with_an_error(self):
        assert lines(log(kind=EventKind.FAILED))[-1] == ("3", "It broke.")
        assert lines(log(kind=EventKind.INTERRUPTED))[-1][0] == "3"
        assert ai_data.LineEncoder.failure(Draining()).startswith('3:"The server is restarting.')

    def test_a_notice_is_data_and_ends_nothing(self):
        found = lines(log(notice(code="budget_low"), delta("a"), finish_reason="budget"))
        assert found[1:3] == [
            ("2", [{"type": "notice", "notice": {"code": "budget_low"}}]),
            ("0", "a"),
        ]
        assert found[-1][1]["finishReason"] == "length"

    def test_a_stopped_answer_ends_as_others_do(self):
        usage = {"promptTokens": None, "completionTokens": None}
        assert lines(log(kind=EventKind.STOPPED))[-1] == (
            "d",
            {"finishReason": "stop", "usage": usage},
        )

    def test_steps_are_data_and_silence_is_none(self):
        told = {"name": "safety", "status": "done"}
        assert lines(log(step(**told)))[1] == ("2", [{"type": "step", "step": told}])
        assert LINE.fullmatch(ai_data.LineEncoder.keep_alive)

    def test_an_event_is_encoded_once_for_all_readers(self):
        events = log(delta("a"))
        lines(events)
        assert all(event.encoded.keys() == {"ai_data"} for event in events)

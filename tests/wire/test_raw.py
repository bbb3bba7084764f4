import re
from itertools import pairwise
from uuid import UUID

import pytest
from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import InternalError
from chat.events import Event, EventKind
from chat.llm.sse import EventStreamParser
from chat.text import clean_text
from chat.wire import raw
from chat.wire.forms import Unprocessable
from chat.wire.raw import DoneEncoder, EventsEncoder, Position
from chat.wire.raw_request import parse_question, parse_told, query_msg

RUN = UUID("01a21a68-2a73-7710-99fd-685b204bbe0f")
ENCODERS = [EventsEncoder, DoneEncoder]
ENDS = {
    EventKind.DONE: {"finish_reason": "stop"},
    EventKind.STOPPED: {},
    EventKind.INTERRUPTED: {},
    EventKind.FAILED: {"code": "upstream_reset", "message": "It\nbroke.", "retryable": True},
}

snares = st.sampled_from(
    ["\n", "\n\n", "\r", "\r\n", " ", "data: ", "[DONE]", "[", "DONE", "]", "[DONE]\n", "\nid: 1\n",
     "\ufeff", "\x0b", "\x0c", "\x85", "\u2028", "x", ""]
)  # fmt: skip
texts = st.lists(st.one_of(st.text(max_size=20).map(clean_text), snares), max_size=12)
ends = st.sampled_from(list(ENDS))


def log(parts, end=EventKind.DONE):
    rows = [(EventKind.STARTED, {"model": "demo", "message": "m"})]
    for part in parts:
        rows.append((EventKind.DELTA, {"text": part}))
        if len(rows) % 3 == 0:
            rows.append((EventKind.REASONING, {"text": "Let me think."}))
    rows.append((end, ENDS[end]))
    return [Event.create(cursor=i, kind=k, data=data) for i, (k, data) in enumerate(rows, 1)]


def blocks(encoder, events):
    """Return the blocks of each event apart, as they were cut by blank lines."""
    return [block + "\n\n" for e in events for block in encoder.encode([e]).split("\n\n") if block]


def parse(stream):
    return [
        (event, data.decode(), last_id)
        for event, data, last_id in EventStreamParser().feed(stream.encode())
    ]


def with_lf(text):
    return re.sub(r"\r\n|\r", "\n", text)


def text_of(events):
    """Return what clients of both dialects append."""
    return "".join(data for event, data, _ in events if event == "message" and data != "[DONE]")


class EncoderTests(SimpleTestCase):
    @given(texts, st.sampled_from(ENCODERS))
    def test_the_text_comes_back_whole(self, parts, encoder):
        found = parse(encoder(RUN).preamble() + encoder(RUN).encode(log(parts)))
        assert text_of(found) == with_lf("".join(parts))
        assert found[-1][2] == f"{RUN.hex}.end"

    @given(texts, ends, st.sampled_from(ENCODERS))
    def test_a_reader_that_comes_back_gets_the_rest_exactly(self, parts, end, encoder):
        events = log(parts, end)
        whole = blocks(encoder(RUN), events)
        seen = [
            0,
            *(Position.parse(block[block.rindex("id: ") + 4 : -2]).cursor for block in whole),
        ]
        for count, cursor in enumerate(seen[:-1]):
            reader = encoder(RUN, after=cursor)
            assert reader.preamble().endswith(f"id: {RUN.hex}.{cursor}\n\n")
            assert blocks(reader, events) == whole[count:]

    @given(texts, ends, st.sampled_from(ENCODERS), st.lists(st.integers(0, 20), max_size=4))
    def test_batches_leave_no_trace(self, parts, end, encoder, cuts):
        events, reader = log(parts, end), encoder(RUN)
        places = [0, *sorted(cuts), len(events)]
        cut = "".join(reader.encode(events[a:b]) for a, b in pairwise(places))
        assert cut == encoder(RUN).encode(events)

    @given(texts, ends, st.sampled_from(ENCODERS))
    def test_no_text_begins_with_a_line_end_but_the_answers_own_first(self, parts, end, encoder):
        found = parse(encoder(RUN).encode(log(parts, end)))
        for _, data, _ in found[1:]:
            assert not data.startswith(("\n", "\ufeff"))

    @given(texts, ends)
    def test_only_the_end_is_done(self, parts, end):
        for encoder in ENCODERS:
            found = parse(encoder(RUN).encode(log(parts, end)))
            assert "[DONE]" not in [data for _, data, _ in found[:-1]]
        assert found[-1][1] == "[DONE]"

    @given(texts, ends, st.sampled_from(ENCODERS))
    def test_ids_are_last_and_need_no_leave_from_a_browser(self, parts, end, encoder):
        for block in blocks(encoder(RUN), log(parts, end)):
            *lines, last = block.split("\n")[:-2]
            assert re.fullmatch(r"id: [A-Za-z0-9._-]{1,128}", last)
            assert all(line.startswith(("data: ", "event: ")) for line in lines)

    def test_a_block_is_as_documented(self):
        events = log(["Hello", "\n\nworld"])
        assert EventsEncoder(RUN).preamble() == f"retry: 2000\nid: {RUN.hex}.0\n\n"
        assert blocks(EventsEncoder(RUN), events) == [
            f"data: Hell\nid: {RUN.hex}.2\n\n",
            f"data: o\ndata: \ndata: worl\nid: {RUN.hex}.3\n\n",
            f"data: d\nid: {RUN.hex}.5\n\n",
            f"event: done\ndata: \nid: {RUN.hex}.end\n\n",
        ]
        *_, last, end = blocks(DoneEncoder(RUN), events)
        assert last == f"data: d\nid: {RUN.hex}.5\n\n"
        assert end == f"data: [DONE]\nid: {RUN.hex}.end\n\n"

    def test_a_failure_follows_the_text_there_is(self):
        events = log(["Hello"], EventKind.FAILED)
        kinds = [(event, data) for event, data, _ in parse(EventsEncoder(RUN).encode(events))]
        assert kinds == [("message", "Hell"), ("message", "o"), ("FatalError", "It\nbroke.")]
        shown = [data for _, data, _ in parse(DoneEncoder(RUN).encode(events))]
        assert shown == ["Hell", "o\n\n[error] It\nbroke.", "[DONE]"]
        nothing = log([], EventKind.FAILED)
        assert [data for _, data, _ in parse(DoneEncoder(RUN).encode(nothing))] == [
            "[error] It\nbroke.",
            "[DONE]",
        ]

    def test_an_error_of_the_reader_leaves_it_where_it_is(self):
        error = EventsEncoder(RUN).failure(InternalError())
        assert error.startswith("event: FatalError\ndata: Something went wrong")
        assert "id:" not in error
        assert DoneEncoder(RUN).failure(InternalError()) == ""

    def test_what_stands_between_blocks_is_no_event(self):
        stream = EventsEncoder(RUN).encode(log(["ab"]))
        kept = (raw.KEEP_ALIVE * 2).join(["", *re.findall(r".*?\n\n", stream, re.DOTALL)])
        assert parse(kept) == parse(stream)

    def test_only_what_was_given_out_is_a_position(self):
        for cursor in (0, 7, None):
            position = Position(RUN, cursor)
            assert Position.parse(str(position)) == position
        for text in ("", "5", f"{RUN}.1", f"{RUN.hex}.", f"{RUN.hex}.-1", f"{RUN.hex}.١",
                     f"{RUN.hex}.1\n", f"{RUN.hex}.12345678901234567"):  # fmt: skip
            assert Position.parse(text) is None

    def test_nothing_left_is_told_as_an_end(self):
        assert raw.over(None) == "event: done\ndata: \n\n"
        assert raw.over(Position(RUN, 3)) == f"event: done\ndata: \nid: {RUN.hex}.end\n\n"


class RequestTests(SimpleTestCase):
    def test_a_question_is_taken_with_whatever_stands_beside_it(self):
        assert parse_question(b'{"question": "Why\\u0000?", "x": 1}') == "Why\ufffd?"
        assert query_msg({"msg": " a ", "other": ""}) == " a "

    def test_what_is_missing_is_told_by_its_place(self):
        for body, loc in (
            (b"{}", ["body", "question"]),
            (b'{"question": 5}', ["body", "question"]),
            (b'{"question": " \\n"}', ["body", "question"]),
            (b"{", ["body"]),
            (b"[]", ["body"]),
            (b"\xff", ["body"]),
        ):
            with pytest.raises(Unprocessable) as caught:
                parse_question(body)
            (detail,) = caught.value.detail
            assert (caught.value.status, detail["loc"]) == (422, loc)
        with pytest.raises(Unprocessable) as caught:
            query_msg({})
        assert caught.value.detail == [
            {"type": "missing", "loc": ["query", "msg"], "msg": "Field required"}
        ]

    def test_messages_are_told_in_the_forms_of_all_versions(self):
        body = b"""{"id": "x", "trigger": "submit-message", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "data", "content": "ignored"},
            {"id": "1", "role": "assistant", "parts": [
                {"type": "step-start"}, {"type": "reasoning", "text": "Hm."},
                {"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}, {"type": "text"}]},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": [{"type": "text", "text": "More"}, "x"], "parts": null}]}"""
        assert parse_told(body) == [
            ("system", "Be brief."),
            ("user", "Hi"),
            ("assistant", "Hello"),
            ("user", "More"),
        ]

    def test_without_a_prompt_nothing_is_told(self):
        for messages in (b"[]", b"5", b'[{"role": "user"}]', b'[{"role": "x", "content": "a"}]',
                         b'[{"role": "assistant", "content": "a"}]'):  # fmt: skip
            with pytest.raises(Unprocessable):
                parse_told(b'{"messages": ' + messages + b"}")

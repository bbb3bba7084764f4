"""The parser of event streams; numbers are those of the checklist 6.3."""

import base64
from itertools import pairwise

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.llm import sse
from chat.llm.sse import EventStreamParser, LineTooLong
from tests.llm.sse_vectors import VECTORS


def parse(*reads):
    parser = EventStreamParser()
    events = [event for data in reads for event in parser.feed(data)]
    found = [(event.event, event.data.decode(), event.id) for event in events]
    return found, parser.retry


class VectorTests(SimpleTestCase):
    def test_6_3_08_each_vector_in_one_piece(self):
        for name, (data, *expected) in VECTORS.items():
            with self.subTest(name):
                assert parse(data) == tuple(expected)

    def test_6_3_08_each_vector_byte_by_byte(self):
        for name, (data, *expected) in VECTORS.items():
            with self.subTest(name):
                assert parse(*(data[i : i + 1] for i in range(len(data)))) == tuple(expected)

    @settings(deadline=None)
    @given(st.sampled_from(sorted(VECTORS)), st.lists(st.integers(0, 3000), max_size=8))
    def test_6_3_08_each_vector_cut_anywhere(self, name, cuts):
        data, *expected = VECTORS[name]
        ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        assert parse(*(data[a:b] for a, b in pairwise(ends))) == tuple(expected)


def test_6_3_08_the_vectors_are_what_undici_makes_of_them(node):
    with node.open("event_stream_parsers.mjs") as parsers:
        for name, vector in VECTORS.items():
            found = parsers.ask([base64.b64encode(vector.stream).decode()])["undici"]
            assert (name, [tuple(event) for event in found]) == (name, vector.events)


class FieldTests(SimpleTestCase):
    def test_6_3_03_retry_takes_ascii_digits_only(self):
        for line, retry in {
            b"retry:3000": 3000,
            b"retry:03000": 3000,
            b"retry:3000x": None,
            b"retry": None,
            b"retry: -1": None,
            "retry:٣".encode(): None,
        }.items():
            parser = EventStreamParser()
            parser.feed(line + b"\n")
            assert parser.retry == retry

    def test_field_named_error_is_an_error_event(self):
        found, _ = parse(b'error: {"code":503}\n\n')
        assert found == [("error", '{"code":503}', "")]

    def test_stray_lines_are_counted_and_comments_are_not(self):
        parser = EventStreamParser()
        parser.feed(b": ping\n\ndata: x\n\n")
        assert parser.stray_lines == 0
        parser.feed(b"<html>\n")
        assert parser.stray_lines == 1

    def test_line_without_an_end_is_bounded(self):
        parser = EventStreamParser()
        with self.assertRaises(LineTooLong):
            for _ in range(sse.MAX_LINE_BYTES // 1_000_000 + 2):
                parser.feed(b"x" * 1_000_000)

    @settings(deadline=None)
    @given(st.lists(st.text(), max_size=5), st.integers(1, 7))
    def test_what_is_encoded_is_parsed(self, texts, size):
        texts = [text.replace("\r", "") for text in texts]
        data = "".join(
            "".join(f"data: {line}\n" for line in text.split("\n")) + "\n" for text in texts
        ).encode()
        reads = [data[i : i + size] for i in range(0, len(data), size)]
        found, _ = parse(*reads)
        assert [event[1] for event in found] == texts

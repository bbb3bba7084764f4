"""The parser vectors of the web platform tests, whole, byte by byte and cut at random."""

from itertools import pairwise

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.llm import sse
from chat.llm.sse import EventStreamParser, LineTooLong

# name: (bytes, [(event, data, id) …])
VECTORS = {
    "format-newlines": (b"data:test\r\ndata\ndata:test\r\n\r", [("message", "test\n\ntest", "")]),
    "format-leading-space": (
        b"data:\ttest\rdata: \ndata:test\n\n",
        [("message", "\ttest\n\ntest", "")],
    ),
    "format-field-data": (
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [("message", "", ""), ("message", "\n", ""), ("message", "test", "")],
    ),
    "format-field-parsing": (
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
        b"data: \r\n data:32\ndata:4\n\n",
        [("message", "\0\n 2\n1\n3\n\n4", "")],
    ),
    "format-field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [("message", "test\n\ntest", "")],
    ),
    "format-comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:" + b"x" * 2049 + b"\rdata:3\n:data:fail\r:"
        b"\ndata:4\n\n",
        [("message", "1\n2\n3\n4", "")],
    ),
    "format-bom": (
        b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n",
        [("message", "1", ""), ("message", "3", "")],
    ),
    "format-bom-2": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n",
        [("message", "2", ""), ("message", "3", "")],
    ),
    "format-data-before-final-empty-line": (b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        [("message", "test1", "")],
    ),
    "format-field-event": (
        b"event:test\ndata:x\n\ndata:x\n\n",
        [("test", "x", ""), ("message", "x", "")],
    ),
    "format-field-event-empty": (b"event: \ndata:data\n\n", [("message", "data", "")]),
    "format-event-without-data": (b"event:a\n\ndata:x\n\n", [("message", "x", "")]),
    "format-field-id": (b"id: 1\ndata:x\n\n", [("message", "x", "1")]),
    "format-field-id-2": (
        b"id: 1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\nid\ndata:d\n\n",
        [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "2"), ("message", "d", "")],
    ),
    "format-field-id-3": (
        b"id: 1\n\ndata:a\n\nid:\n\ndata:b\n\n",
        [("message", "a", "1"), ("message", "b", "")],
    ),
    "format-field-id-null": (
        b"id: a\0b\ndata:x\n\nid: a\nid: \0\ndata:y\n\n",
        [("message", "x", ""), ("message", "y", "a")],
    ),
    "format-null-character": (b"data:\0\n\n\n\n", [("message", "\0", "")]),
    "format-utf-8": ("data:ok…\n\n".encode(), [("message", "ok…", "")]),
    "format-line-ends": (
        "data:a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
        [("message", "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "")],
    ),
}  # fmt: skip


def parse(*reads):
    parser = EventStreamParser()
    events = [event for data in reads for event in parser.feed(data)]
    return [(event.event, event.data.decode(), event.id) for event in events]


class VectorTests(SimpleTestCase):
    def test_each_vector_in_one_piece(self):
        for name, (data, expected) in VECTORS.items():
            with self.subTest(name):
                assert parse(data) == expected

    def test_each_vector_byte_by_byte(self):
        for name, (data, expected) in VECTORS.items():
            with self.subTest(name):
                assert parse(*(data[i : i + 1] for i in range(len(data)))) == expected

    @settings(deadline=None)
    @given(st.sampled_from(sorted(VECTORS)), st.lists(st.integers(0, 3000), max_size=8))
    def test_each_vector_cut_anywhere(self, name, cuts):
        data, expected = VECTORS[name]
        ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        assert parse(*(data[a:b] for a, b in pairwise(ends))) == expected


class FieldTests(SimpleTestCase):
    def test_retry_takes_ascii_digits_only(self):
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
        assert parse(b'error: {"code":503}\n\n') == [("error", '{"code":503}', "")]

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
        assert [event[1] for event in parse(*reads)] == texts

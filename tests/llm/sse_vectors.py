"""
The parser vectors of the web platform tests (`eventsource/format-*`), and two of our own.

Name: what is read, the (event, data, id) that must be dispatched, and the
reconnection time that is left, if one was told.
"""

from typing import NamedTuple


class Vector(NamedTuple):
    stream: bytes
    events: list[tuple[str, str, str]]
    retry: int | None = None


VECTORS = {
    "format-newlines": Vector(
        b"data:test\r\ndata\ndata:test\r\n\r", [("message", "test\n\ntest", "")]
    ),
    "format-leading-space": Vector(
        b"data:\ttest\rdata: \ndata:test\n\n",
        [("message", "\ttest\n\ntest", "")],
    ),
    "format-field-data": Vector(
        b"data:\n\ndata\ndata\n\ndata:test\n\n",
        [("message", "", ""), ("message", "\n", ""), ("message", "test", "")],
    ),
    "format-field-parsing": Vector(
        b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\r"
        b"data: \r\n data:32\ndata:4\n\n",
        [("message", "\0\n 2\n1\n3\n\n4", "")],
    ),
    "format-field-unknown": Vector(
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n",
        [("message", "test\n\ntest", "")],
    ),
    "format-comments": Vector(
        b"data:1\r:\0\n:\r\ndata:2\n:" + b"x" * 2049 + b"\rdata:3\n:data:fail\r:\ndata:4\n\n",
        [("message", "1\n2\n3\n4", "")],
    ),
    "format-bom": Vector(
        b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n",
        [("message", "1", ""), ("message", "3", "")],
    ),
    "format-bom-2": Vector(
        b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n",
        [("message", "2", ""), ("message", "3", "")],
    ),
    "format-data-before-final-empty-line": Vector(
        b"retry:1000\ndata:test1\n\nid:test\ndata:test2",
        [("message", "test1", "")],
        1000,
    ),
    "format-field-event": Vector(
        b"event:test\ndata:x\n\ndata:x\n\n",
        [("test", "x", ""), ("message", "x", "")],
    ),
    "format-field-event-empty": Vector(b"event: \ndata:data\n\n", [("message", "data", "")]),
    "format-event-without-data": Vector(b"event:a\n\ndata:x\n\n", [("message", "x", "")]),
    "format-field-id": Vector(b"id: 1\ndata:x\n\n", [("message", "x", "1")]),
    "format-field-id-2": Vector(
        b"id: 1\ndata:a\n\ndata:b\n\nid:2\ndata:c\n\nid\ndata:d\n\n",
        [("message", "a", "1"), ("message", "b", "1"), ("message", "c", "2"), ("message", "d", "")],
    ),
    "format-field-id-3": Vector(
        b"id: 1\n\ndata:a\n\nid:\n\ndata:b\n\n",
        [("message", "a", "1"), ("message", "b", "")],
    ),
    "format-field-id-null": Vector(
        b"id: a\0b\ndata:x\n\nid: a\nid: \0\ndata:y\n\n",
        [("message", "x", ""), ("message", "y", "a")],
    ),
    "format-field-retry": Vector(b"retry:03000\ndata:x\n\n", [("message", "x", "")], 3000),
    "format-field-retry-bogus": Vector(
        b"retry:3000\nretry:1000x\ndata:x\n\n", [("message", "x", "")], 3000
    ),
    "format-field-retry-empty": Vector(b"retry\ndata:test\n\n", [("message", "test", "")]),
    "format-null-character": Vector(b"data:\0\n\n\n\n", [("message", "\0", "")]),
    "format-utf-8": Vector("data:ok…\n\n".encode(), [("message", "ok…", "")]),
    "format-line-ends": Vector(
        "data:a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n\n".encode(),
        [("message", "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "")],
    ),
}

"""
What a dialect encodes, other systems' parsers give back; numbers are those of the checklist 6.3.

A new dialect of event streams adds a line to DIALECTS, and to LOSSES what one
parser cannot give back.
"""

import base64
import json
import random
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from chat.events import Event, EventKind
from chat.llm.sse import EventStreamParser
from chat.text import clean_text
from chat.wire import burr, native, openai, raw
from tests.clients.node import Dialogue, Node

PARSERS = ["eventsource-parser", "undici", "fetch-event-source", "openai-python", "ours"]
RUN = UUID(int=17)
# What ids may hold, so that no browser asks for leave before it sends one.
ID = r"[A-Za-z0-9._-]{1,128}"


class Parsed(NamedTuple):
    """One event as a parser dispatched it."""

    event: str
    data: str
    id: str


class Dialect(NamedTuple):
    """How a log becomes a stream, comments in it, and how its client reads the text there."""

    encode: Callable[[list[Event]], str]
    read: Callable[[list[Parsed]], str]


def encode_native(log: list[Event]) -> str:
    return native.PING.join(map(native.to_sse, log))


def read_native(found: list[Parsed]) -> str:
    events = [parsed for parsed in found if parsed.data]
    assert [parsed.id for parsed in events] == [str(i) for i in range(1, len(events) + 1)]
    assert (events[0].event, events[-1].event) == ("started", "done")
    return "".join(json.loads(each.data)["text"] for each in events[1:-1])


def encode_openai(log: list[Event]) -> str:
    encoder = openai.ChunkEncoder(openai.Head(id="chatcmpl-1", created=17, model="demo"))
    return openai.KEEP_ALIVE.join(encoder.encode([event]) for event in log)


def read_openai(found: list[Parsed]) -> str:
    *chunks, end = [parsed.data for parsed in found if parsed.data]
    assert end == "[DONE]"
    deltas = [json.loads(chunk)["choices"][0]["delta"] for chunk in chunks]
    return "".join(delta.get("content", "") for delta in deltas)


def encode_raw(encoder: raw.EventsEncoder, log: list[Event]) -> str:
    blocks = raw.KEEP_ALIVE.join(encoder.encode([event]) for event in log)
    return encoder.preamble() + blocks


def encode_raw_events(log: list[Event]) -> str:
    return encode_raw(raw.EventsEncoder(RUN), log)


def encode_raw_done(log: list[Event]) -> str:
    return encode_raw(raw.DoneEncoder(RUN), log)


def read_raw_events(found: list[Parsed]) -> str:
    *texts, end = found
    assert end == ("done", "", f"{RUN.hex}.end")
    return "".join(parsed.data for parsed in texts)


def read_raw_done(found: list[Parsed]) -> str:
    *texts, end = found
    assert end == ("message", "[DONE]", f"{RUN.hex}.end")
    return "".join(parsed.data for parsed in texts)


def with_lf(text: str) -> str:
    """Return a text as event streams carry it, whose line ends are all alike."""
    return re.sub(r"\r\n|\r", "\n", text)


def without_first_lines(text: str) -> str:
    """Return what fetch-event-source leaves: no line end in front, no BOM in front of a line."""
    return re.sub(r"(^|\n)\ufeff", r"\1", with_lf(text)).lstrip("\n")


def encode_burr(log: list[Event]) -> str:
    return burr.KEEP_ALIVE.join(burr.FrameEncoder().encode([event]) for event in log)


def read_burr(found: list[Parsed]) -> str:
    *deltas, end = [json.loads(parsed.data) for parsed in found]
    assert end == {"type": "done"}
    return "".join(delta["value"] for delta in deltas)


DIALECTS = {
    "native": Dialect(encode_native, read_native),
    "openai": Dialect(encode_openai, read_openai),
    "raw-events": Dialect(encode_raw_events, read_raw_events),
    "raw-done": Dialect(encode_raw_done, read_raw_done),
    "burr": Dialect(encode_burr, read_burr),
}
RAW = ("raw-events", "raw-done")
# (dialect, parser): what is left of a text.
LOSSES: dict[tuple[str, str], Callable[[str], str]] = {
    **{(name, parser): with_lf for name in RAW for parser in PARSERS},
    **{(name, "fetch-event-source"): without_first_lines for name in RAW},
}


@pytest.fixture(scope="module")
def parsers(node: Node) -> Iterator[Dialogue]:
    with node.open("event_stream_parsers.mjs") as dialogue:
        yield dialogue


def parse(parsers: Dialogue, pieces: list[bytes]) -> dict[str, list[Parsed]]:
    """Return what every parser makes of a stream that arrives in these pieces."""
    told = parsers.ask([base64.b64encode(piece).decode() for piece in pieces])
    found = {name: [Parsed(*event) for event in events] for name, events in told.items()}
    found["openai-python"] = [
        Parsed(event.event or "message", event.data, event.id or "")
        for event in SSEDecoder().iter_bytes(iter(pieces))
    ]
    parser = EventStreamParser()
    found["ours"] = [
        Parsed(event.event, event.data.decode(), event.id)
        for piece in pieces
        for event in parser.feed(piece)
    ]
    return found


def log_of(texts: list[str]) -> list[Event]:
    rows = [(EventKind.STARTED, {"model": "demo", "message": "m"})]
    rows += [(EventKind.DELTA, {"text": text}) for text in texts]
    rows.append((EventKind.DONE, {"finish_reason": "stop", "usage": None}))
    return [Event.create(cursor=i, kind=kind, data=data) for i, (kind, data) in enumerate(rows, 1)]


def cut(stream: bytes, cuts: list[float]) -> list[bytes]:
    """Cut a stream at these shares of its length."""
    ends = [0, *sorted(int(share * len(stream)) for share in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(ends)]


def check(parsers: Dialogue, name: str, texts: list[str], cuts: list[float]) -> None:
    dialect = DIALECTS[name]
    found = parse(parsers, cut(dialect.encode(log_of(texts)).encode(), cuts))
    assert set(found) == set(PARSERS)
    for parser, events in found.items():
        left = LOSSES.get((name, parser), str)("".join(texts))
        assert (parser, dialect.read(events)) == (parser, left)


any_text = st.text(st.characters(exclude_categories=[]), max_size=40).map(clean_text)
# Where framing could be mistaken: line ends of all standards, fields, a BOM, the end's mark.
snares = st.sampled_from(
    ["\n", "\n\n", "\r", "\r\n", " ", "data: ", "[DONE]", "\nid: 1\n", "event: end", "retry:1",
     ": ", "\ufeff", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "👩‍👧", ""]
)  # fmt: skip
pieces_of_text = st.lists(st.one_of(any_text, snares), max_size=8)


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None, max_examples=150)
@given(texts=pieces_of_text, cuts=st.lists(st.floats(0, 1), max_size=12))
def test_6_3_01_every_parser_gives_back_the_text_however_it_is_cut(parsers, name, texts, cuts):
    check(parsers, name, texts, cuts)


@pytest.mark.parametrize("name", DIALECTS)
def test_6_3_01_every_parser_gives_back_every_code_point(parsers, name):
    every = [chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
    sizes = random.Random(name)
    start = 0
    while start < len(every):
        part, start = every[start : start + 65_536], start + 65_536
        texts = []
        while part:
            size = sizes.randrange(1, 8192)
            texts.append("".join(part[:size]))
            part = part[size:]
        check(parsers, name, texts, [sizes.random() for _ in range(300)])


@pytest.mark.parametrize("name", DIALECTS)
@given(texts=pieces_of_text)
def test_6_3_02_03_04_lines_are_those_that_every_client_can_read(name, texts):
    stream = DIALECTS[name].encode(log_of(texts))
    assert not stream.startswith("\ufeff")
    assert "\r" not in stream
    assert stream.endswith("\n\n")
    for line in stream.split("\n"):
        field, _, value = line.partition(":")
        assert field in {"", "event", "data", "id", "retry"}
        if field == "id":
            assert re.fullmatch(f" {ID}", value)
        elif field == "retry":
            assert re.fullmatch(r" [0-9]+", value)

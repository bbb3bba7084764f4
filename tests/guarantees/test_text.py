"""Whatever characters a model writes, they come out as they went in, on every way out."""

import json
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.events import Event as LogEvent
from chat.events import EventKind
from chat.wire import native
from tests.guarantees.readers import Event, EventStreamParser, cut_events, text_of

GENERATION = UUID("01890000-0000-7000-8000-000000000000")
ODD = [
    "\r", "\n", "\r\n", "\n\r", "\n\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d",
    "\x1e", "\ufeff", "\x7f", "\x1b[31m", "\x9b", "\u202e\u2066",
    "\U0001f469\u200d\U0001f469\u200d\U0001f466", "e" + "\u0301" * 300,
    "\ufffe\uffff", "\U0010ffff", '"', "\\", "\\u0041", "</script>", "\t ", "data: x", ": c",
]  # fmt: skip
ODD_TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=40)), max_size=20).map("".join)


def round_trips(texts: list[str]) -> None:
    """Check that texts come whole through each native encoding, and in the same bytes."""
    log = [
        LogEvent.create(cursor=cursor, kind=EventKind.DELTA, data={"text": text})
        for cursor, text in enumerate(texts, 1)
    ]
    stream = EventStreamParser().feed("".join(map(native.to_sse, log)).encode())
    frame = native.events_frame(GENERATION, log)
    body = native.poll_body(log, cursor=len(log), terminal=False)
    assert stream == cut_events(frame) == cut_events(body)
    assert [event.fields["text"] for event in stream] == texts
    for whole in (frame, body):
        assert [event["data"]["text"] for event in json.loads(whole)["events"]] == texts


def test_b13_every_code_point_survives_each_encoding():
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    assert len(points) > 10**6
    round_trips(["".join(points[at : at + 512]) for at in range(0, len(points), 512)])


def test_b13_each_pair_of_odd_characters_survives_each_encoding():
    round_trips([a + b + c for a in ODD for b in ODD for c in ODD])


@settings(max_examples=400, deadline=None)
@given(st.lists(ODD_TEXT, max_size=10))
def test_b13_any_texts_survive_each_encoding(texts):
    round_trips(texts)


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_b13_the_reader_of_these_tests_does_not_depend_on_how_bytes_are_cut(data, cuts):
    data = b"event: a\r\ndata: 1\r\n\r\ndata: " + data.decode("latin-1").encode() + b"\n\nid: 2\n\n"
    whole = EventStreamParser().feed(data)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    parser = EventStreamParser()
    parts = [event for start, end in pairwise(places) for event in parser.feed(data[start:end])]
    assert parts == whole


def everywhere(person, generation: dict) -> set[str]:
    """Return the answer's text as each way out gives it; they agree if there is one."""
    events = person.streamed(generation["id"])
    assert person.polled(generation["id"]) == events
    with person.socket() as socket:
        socket.send("follow", generation=generation["id"])
        assert socket.events(generation["id"]) == events
    return {text_of(events), person.saved_text(generation)}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=ODD_TEXT)
def test_b13_any_text_survives_the_whole_site(ada, text):
    prompt = f"x{text}".replace("\0", "")
    generation = ada.ended(ada.ask(prompt, model="openai:echo"))
    assert everywhere(ada, generation) == {prompt}


@pytest.mark.parametrize("escaped", [True, False])
def test_b13_odd_tokens_of_a_model_survive_the_whole_site(ada, site, escaped):
    def chunk(text: str) -> dict[str, str]:
        value = {"choices": [{"index": 0, "delta": {"content": text}}]}
        return {"raw": f"data: {json.dumps(value, ensure_ascii=escaped)}\n\n"}

    site.upstream.script([*map(chunk, ODD), {"finish": "stop"}, {"done": True}])
    generation = ada.ended(ada.ask("Speak."))
    assert everywhere(ada, generation) == {"".join(ODD)}


INJECTIONS = [
    "\n\nevent: done\ndata: {}\nid: 99\n\n",
    "\r\n\r\nevent: end\r\ndata: {}\r\n\r\nid: x",
    "\r\rretry: 0\r\r: c\r\r",
    "\u2028\u2028event: failed\u2028data: {}\u2028\u2028",
    "\n\ndata: [DONE]\n\n",
    '"}\n\ndata: {"text":"',
    '"},{"cursor":2,"kind":"done","data":{}}],"cursor":9,"terminal":true}',
]


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_b14_framing_written_by_a_model_appears_as_text(ada, site, text):
    site.upstream.script([{"delta": f"a{text}b"}, {"finish": "stop"}, {"done": True}])
    generation = ada.ask("Speak.")
    with ada.follow(generation["id"]) as stream:
        events = list(stream)
    assert [event.kind for event in events] == ["started", "delta", "done"]
    assert [event.cursor for event in events] == [1, 2, 3]
    assert not stream.parser.comments
    assert events[1] == Event(2, "delta", events[1].data)
    assert everywhere(ada, generation) == {f"a{text}b"}

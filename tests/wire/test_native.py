import json
from uuid import uuid4

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.events import Event, EventKind
from chat.text import clean_text
from chat.wire import native

any_text = st.text(st.characters(exclude_categories=[]), max_size=200)


def delta(text, cursor=1):
    return Event.create(cursor=cursor, kind=EventKind.DELTA, data={"text": text})


def parse_sse(stream):
    """Parse as the standard says, dispatching (event, data, id)."""
    events, fields = [], {"event": "", "data": [], "id": ""}
    for line in stream.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if fields["data"]:
                events.append((fields["event"], "\n".join(fields["data"]), fields["id"]))
            fields |= {"event": "", "data": []}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            fields["data"].append(value)
        elif name:
            fields[name] = value
    return events


class NativeTests(SimpleTestCase):
    @given(st.lists(any_text, max_size=5))
    def test_b13_sse_parses_back_to_the_same_text(self, texts):
        cleaned = [clean_text(text) for text in texts]
        events = [delta(text, i) for i, text in enumerate(cleaned, 1)]
        stream = "".join(native.to_sse(event) for event in events)
        parsed = parse_sse(stream)
        assert [json.loads(data)["text"] for _, data, _ in parsed] == cleaned
        assert [int(cursor) for _, _, cursor in parsed] == list(range(1, len(texts) + 1))

    @given(any_text)
    def test_b13_frame_and_poll_carry_the_bytes_of_the_event(self, text):
        event = delta(clean_text(text))
        frame = native.events_frame(uuid4(), [event])
        body = native.poll_body([event], cursor=1, terminal=False)
        assert event.json in frame
        assert event.json in body
        assert json.loads(frame)["events"] == json.loads(body)["events"]

    def test_b14_text_that_looks_like_framing_stays_text(self):
        text = "\n\nevent: end\ndata: {}\n\nid: x\nretry: 0\n: c\r\n\r\n"
        (event,) = parse_sse(native.to_sse(delta(text)))
        assert event[0] == "delta"
        assert json.loads(event[1]) == {"text": text}
        assert event[2] == "1"

    def test_the_id_is_the_last_line_of_a_block(self):
        assert native.to_sse(delta("a")) == 'event: delta\ndata: {"text":"a"}\nid: 1\n\n'

    def test_p7_an_event_is_encoded_once_per_form(self):
        event = delta("a")
        assert native.to_sse(event) is native.to_sse(event)
        assert native.to_json(event) is native.to_json(event)

    def test_a_poll_body_says_where_it_leaves_the_reader(self):
        body = json.loads(native.poll_body([], cursor=7, terminal=True))
        assert body == {"events": [], "cursor": 7, "terminal": True}

    def test_an_error_event_has_no_id_so_that_the_reader_can_resume(self):
        assert "id:" not in native.sse_error({"code": "internal_error"})

import base64
import json
import re

import pytest
from django.test import SimpleTestCase
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.errors import Draining
from chat.events import Event, EventKind
from chat.text import clean_text
from chat.wire import burr
from chat.wire.failures import INTERRUPTED
from tests.dialects.burr_client import Page

any_text = st.text(st.characters(exclude_categories=[]), max_size=200).map(clean_text)
texts = st.lists(any_text, max_size=20)
HOSTILE = [
    ["data: x", "\n\n", "data: ", "\u2028\u0085", "👋🏽"],
    ["\\data: ", '"data: "', "data:", " "],
    ["data: " * 2000],
]
FRAME = re.compile(r"data: \{.*\} ?\n\n")
FAILED = {"code": "upstream_reset", "message": "It broke.", "retryable": True}


def log(*texts, kind=EventKind.DONE, **end):
    """Return the events of an answer with these deltas."""
    rows = [(EventKind.STARTED, {"model": "demo", "message": "m"})]
    rows += [(EventKind.STEP, {"name": "prompt", "status": "done"})]
    rows += [(EventKind.DELTA, {"text": text}) for text in texts]
    rows.append((kind, end))
    return [Event.create(cursor=i, kind=k, data=data) for i, (k, data) in enumerate(rows, 1)]


def frames(stream):
    """Return the frames of a stream, each checked to be what the seed's loop can take."""
    found = re.findall(r".*?\n\n", stream, re.DOTALL)
    assert "".join(found) == stream
    for frame in found:
        assert FRAME.fullmatch(frame)
        assert frame.count("data: ") == 1
        assert len(frame.encode()) <= burr.MAX_FRAME <= 32_000
        assert frame.isascii()
    return [json.loads(frame.removeprefix("data: ")) for frame in found]


def written(events):
    return list(burr.writes(burr.FrameEncoder().encode(events)))


def hostile(test):
    """Run a test with texts of all kinds, those that the page could not take among them."""
    for each in HOSTILE:
        test = example(texts=each)(test)
    return settings(deadline=None)(given(texts=texts)(test))  # Another process takes its time.


@pytest.fixture(scope="module")
def pages(node):
    with node.open("burr.mjs") as dialogue:
        yield dialogue


@hostile
def test_the_page_in_node_gives_back_what_was_said(pages, texts):
    items = [burr.item("user", text) for text in texts if len(text) < 500]
    writes = [burr.chat_history(items), *written(log(*texts))]
    found = pages.ask([base64.b64encode(write.encode()).decode() for write in writes])
    assert found["history"] == items
    assert found["answer"] == "".join(texts)
    assert found["kinds"][-1] == "done"


class StreamTests(SimpleTestCase):
    @hostile
    def test_the_page_gives_back_what_was_said(self, texts):
        page = Page()
        for write in written(log(*texts)):
            page.read(write.encode())
        assert page.answer == "".join(texts)
        assert page.kinds[-1] == "done"

    @given(st.lists(st.integers(1, 40_000), max_size=6), st.sampled_from("a é👋"))
    def test_frames_and_writes_are_small_however_long_the_deltas_are(self, lengths, letter):
        texts = [letter * length for length in lengths]
        writes = written(log(*texts))
        assert all(len(write.encode()) <= burr.MAX_FRAME for write in writes)
        found = frames("".join(writes))
        assert "".join(each.get("value", "") for each in found) == "".join(texts)

    def test_what_is_small_together_is_one_write_and_one_frame_per_event(self):
        (write,) = written(log("a", "b", "c"))
        assert frames(write) == [
            {"type": "delta", "value": "a"},
            {"type": "delta", "value": "b"},
            {"type": "delta", "value": "c"},
            {"type": "done"},
        ]

    def test_a_failure_is_told_to_programs_and_shown_to_people_and_the_end_is_clean(self):
        found = frames("".join(written(log("a", kind=EventKind.FAILED, **FAILED))))
        assert found[1:] == [
            {"type": "error", "value": "It broke."},
            {"type": "delta", "value": "\n\n[error] It broke."},
            {"type": "done"},
        ]
        found = frames("".join(written(log(kind=EventKind.INTERRUPTED))))
        assert found[0] == {"type": "error", "value": INTERRUPTED}
        assert frames("".join(written(log("a", kind=EventKind.STOPPED))))[1:] == [{"type": "done"}]
        kinds = [each["type"] for each in frames(burr.FrameEncoder().failure(Draining()))]
        assert kinds == ["error", "delta", "done"]

    def test_a_keep_alive_is_a_delta_that_says_nothing(self):
        assert frames(burr.KEEP_ALIVE) == [{"type": "delta", "value": ""}]

    def test_a_frame_can_be_put_before_what_comes_next_and_only_once(self):
        encoder = burr.FrameEncoder()
        encoder.tell_first(burr.chat_history([]))
        assert encoder.encode([]) == burr.chat_history([])
        assert encoder.encode([]) == ""

    def test_an_event_is_encoded_once_for_all_readers(self):
        events = log("a")
        written(events)
        for event in events:
            assert event.encoded.keys() == {"burr"}
            event.encoded["burr"] = "as before\n\n"
        assert "".join(written(events)) == "as before\n\n" * len(events)


class HistoryTests(SimpleTestCase):
    def history(self, *items):
        (found,) = frames(burr.chat_history(items))
        assert found["type"] == "chat_history"
        return found["value"]

    @given(st.lists(any_text, max_size=6))
    def test_what_fits_is_told_whole(self, texts):
        items = [burr.item("user", text) for text in texts]
        assert self.history(*items) == items

    @given(st.lists(st.tuples(st.integers(0, 9000), st.sampled_from("aé👋")), max_size=9))
    def test_past_that_the_newest_are_told_and_of_the_last_one_at_least_its_end(self, parts):
        items = [burr.item("user", letter * length) for length, letter in parts]
        told = self.history(*items)
        assert bool(told) == bool(items)
        if len(told) > 1 or told == items[-1:]:
            assert told == items[len(items) - len(told) :]
        else:
            for each in told:
                assert each["content"].startswith("…")
                assert items[-1]["content"].endswith(each["content"].removeprefix("…"))
                assert len(each["content"]) > 1000

    def test_an_answer_that_has_failed_looks_as_it_did_when_it_was_streamed(self):
        page = Page()
        page.read("".join(written(log("a", kind=EventKind.FAILED, **FAILED))).encode())
        found = burr.item("assistant", "a", error="It broke.")
        assert found == {"content": page.answer, "type": "error", "role": "assistant"}
        assert burr.item("user", "a") == {"content": "a", "type": "text", "role": "user"}

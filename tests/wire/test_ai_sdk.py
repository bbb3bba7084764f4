import json

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import Draining
from chat.events import Event, EventKind
from chat.llm.sse import EventStreamParser
from chat.text import clean_text
from chat.wire import ai_sdk

any_text = st.text(st.characters(exclude_categories=[]), max_size=100).map(clean_text)
pieces = st.lists(st.tuples(st.sampled_from([EventKind.DELTA, EventKind.REASONING]), any_text))
ends = st.sampled_from([kind for kind in EventKind if kind.is_terminal])
USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
COUNTS = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
FAILURE = {"code": "upstream_reset", "message": "It broke.", "retryable": True}
HEAD = ai_sdk.Head(conversation="c", generation="g")
PLACE = {"conversation": "c", "generation": "g"}


def log(*pieces, kind=EventKind.DONE, **end):
    """Return the events of an answer with these (kind, text) pieces; a step is (STEP, data)."""
    rows = [(EventKind.STARTED, {"model": "demo", "message": "m"})]
    rows += [(k, told if isinstance(told, dict) else {"text": told}) for k, told in pieces]
    if kind is EventKind.DONE:
        end = {"finish_reason": "stop", "usage": USAGE} | end
    if kind is EventKind.FAILED:
        end = FAILURE | end
    rows.append((kind, end))
    return [Event.create(cursor=i, kind=k, data=data) for i, (k, data) in enumerate(rows, 1)]


def chunks(events):
    return [json.loads(chunk) for chunk in ai_sdk.ChunkEncoder(HEAD).encode(events)]


def types(events):
    return [chunk["type"] for chunk in chunks(events)]


def delta(text):
    return EventKind.DELTA, text


def reasoning(text):
    return EventKind.REASONING, text


def step(**data):
    return EventKind.STEP, data


def notice(**data):
    return EventKind.NOTICE, data


class Client:
    """What the client makes of a stream: it is strict about parts that are not open."""

    def __init__(self, stream):
        self.parts = []
        self.open = {}
        for chunk in stream:
            kind, _, what = chunk["type"].partition("-")
            if what == "start":
                assert chunk["id"] not in self.open
                self.open[chunk["id"]] = [kind, ""]
                self.parts.append(self.open[chunk["id"]])
            elif what == "delta":
                self.open[chunk["id"]][1] += chunk["delta"]
            elif what == "end":
                del self.open[chunk["id"]]

    def text(self, kind):
        return "".join(text for part, text in self.parts if part == kind)


class ChunkTests(SimpleTestCase):
    @given(pieces, ends)
    def test_every_part_is_begun_and_ended_and_holds_the_text(self, texts, kind):
        client = Client(chunks(log(*texts, kind=kind)))
        assert not client.open
        for name, each in (("text", EventKind.DELTA), ("reasoning", EventKind.REASONING)):
            assert client.text(name) == "".join(text for k, text in texts if k is each)

    @given(pieces, ends, st.data())
    def test_however_a_log_is_cut_into_batches_the_chunks_are_the_same(self, texts, kind, data):
        events = log(*texts, kind=kind)
        at = data.draw(st.integers(0, len(events)))
        encoder = ai_sdk.ChunkEncoder(HEAD)
        cut = encoder.encode(events[:at]) + encoder.encode(events[at:])
        assert cut == ai_sdk.ChunkEncoder(HEAD).encode(log(*texts, kind=kind))

    def test_an_answer_is_a_step_between_its_start_and_its_finish(self):
        start, *between, finish = chunks(log(delta("a"), delta("b")))
        assert start == {
            "type": "start",
            "messageId": "m",
            "messageMetadata": PLACE | {"model": "demo"},
        }
        assert between == [
            {"type": "start-step"},
            {"type": "text-start", "id": "text-1"},
            {"type": "text-delta", "id": "text-1", "delta": "a"},
            {"type": "text-delta", "id": "text-1", "delta": "b"},
            {"type": "text-end", "id": "text-1"},
            {"type": "finish-step"},
        ]
        assert finish == {
            "type": "finish",
            "finishReason": "stop",
            "messageMetadata": PLACE | {"usage": COUNTS},
        }

    def test_reasoning_is_a_part_before_the_text(self):
        found = chunks(log(reasoning("a"), delta("b"), reasoning("c")))
        ids = [chunk["id"] for chunk in found if chunk["type"].endswith("-start")]
        assert ids == ["reasoning-1", "text-2", "reasoning-3"]
        assert Client(found).parts == [["reasoning", "a"], ["text", "b"], ["reasoning", "c"]]

    def test_steps_of_agents_are_data_that_is_replaced(self):
        told = [
            step(name="safety", status=status, sequence=number)
            for number in (3, 4)
            for status in ("started", "done")
        ]
        found = chunks(log(*told, delta("a")))[1:5]
        assert [chunk["id"] for chunk in found] == ["safety-3", "safety-3", "safety-4", "safety-4"]
        assert {chunk["type"] for chunk in found} == {"data-step"}
        assert found[1]["data"] == {"name": "safety", "status": "done", "sequence": 3}
        assert not any("transient" in chunk for chunk in found)

    def test_another_attempt_leaves_nothing_in_the_message(self):
        retry = step(name="retry", status="started", attempt=1)
        (_, chunk, *_) = chunks(log(retry))
        assert (chunk["type"], chunk["id"], chunk["transient"]) == ("data-step", "retry", True)

    def test_a_stopped_or_interrupted_answer_is_aborted_and_says_why(self):
        for kind in (EventKind.STOPPED, EventKind.INTERRUPTED):
            *_, before, last = chunks(log(delta("a"), kind=kind))
            assert before == {"type": "text-end", "id": "text-1"}
            assert last == {"type": "abort", "reason": str(kind)}

    def test_a_failed_answer_ends_with_its_message(self):
        assert chunks(log(delta("a"), kind=EventKind.FAILED))[-1] == {
            "type": "error",
            "errorText": "It broke.",
        }

    def test_an_answer_without_text_has_no_part(self):
        assert types(log()) == ["start", "finish"]
        assert types(log(kind=EventKind.STOPPED)) == ["start", "abort"]

    def test_finish_reasons_are_words_of_all_versions(self):
        said = {"stop": "stop", "length": "length", "max_tokens": "length", "STOP": "stop"}
        said |= {"content_filter": "content-filter", "tool_calls": "tool-calls", "": "stop"}
        said |= {"unknown": "other", "interrupted": "other", "error": "error", None: "stop"}
        for theirs, ours in said.items():
            assert ai_sdk.finish_reason(log(finish_reason=theirs)[-1]) == ours

    def test_an_answer_without_counts_has_no_usage(self):
        assert chunks(log(usage=None))[-1]["messageMetadata"]["usage"] is None

    def test_an_event_is_encoded_once_for_all_readers(self):
        events = log(delta("a"))
        ai_sdk.StreamEncoder(HEAD).encode(events)
        assert all(event.encoded.keys() == {"ai_sdk"} for event in events)
        events[1].encoded["ai_sdk"] = '"delta":"as before"'
        assert "as before" in str(chunks(events))


class StreamTests(SimpleTestCase):
    @given(pieces, ends)
    def test_the_blocks_hold_the_chunks_and_end_in_done(self, texts, kind):
        stream = ai_sdk.StreamEncoder(HEAD).encode(log(*texts, kind=kind))
        parser = EventStreamParser()
        *found, end = [event.data for event in parser.feed(stream.encode())]
        assert end == b"[DONE]"
        assert parser.stray_lines == 0
        assert [json.loads(data) for data in found] == chunks(log(*texts, kind=kind))
        assert {line.partition(":")[0] for line in stream.split("\n") if line} == {"data"}

    def test_nothing_of_a_stream_that_goes_on_says_that_it_is_done(self):
        assert "[DONE]" not in ai_sdk.StreamEncoder(HEAD).encode(log(delta("a"))[:-1])
        assert ai_sdk.StreamEncoder(HEAD).encode([]) == ""

    def test_what_cannot_be_read_on_says_so_and_ends(self):
        first, end = ai_sdk.StreamEncoder.failure(Draining()).split("\n\n")[:2]
        assert json.loads(first.removeprefix("data: ")) == {
            "type": "error",
            "errorText": "The server is restarting. Try again in a few seconds.",
        }
        assert end == "data: [DONE]"


class FrameTests(SimpleTestCase):
    @given(pieces, st.integers(-1, 30))
    def test_frames_are_numbered_without_a_gap_from_where_the_client_is(self, texts, seen):
        events = log(*texts)
        encoder = ai_sdk.FrameEncoder(HEAD, 'r"1', seen=seen)
        frames = [json.loads(frame) for event in events for frame in encoder.encode([event])]
        told = list(enumerate(chunks(events)))[seen + 1 :]
        assert [(each["sequence"], each["chunk"]) for each in frames] == told
        assert all((each["type"], each["requestId"]) == ("chunk", 'r"1') for each in frames)

    def test_any_other_frame_names_its_request(self):
        assert json.loads(ai_sdk.frame("error", "r", errorText="No.")) == {
            "type": "error",
            "requestId": "r",
            "errorText": "No.",
        }


class NoticeTests(SimpleTestCase):
    def test_a_notice_passes_and_ends_nothing(self):
        found = chunks(log(delta("a"), notice(code="budget_low"), delta("b")))
        kinds = [chunk["type"] for chunk in found]
        assert kinds.count("data-notice") == 1
        assert "abort" not in kinds
        assert {"type": "data-notice", "data": {"code": "budget_low"}, "transient": True} in found
        assert [c["delta"] for c in found if c["type"] == "text-delta"] == ["a", "b"]

    def test_an_answer_cut_by_a_budget_ends_as_one_of_full_length(self):
        assert chunks(log(delta("a"), finish_reason="budget"))[-1]["finishReason"] == "length"

import asyncio
import json

import pytest
from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from chat.errors import BadRequest, RateLimited, UnknownModel, UnsupportedParameter
from chat.events import Event, EventKind
from chat.llm.deltas import Deltas
from chat.llm.sse import EventStreamParser
from chat.text import clean_text
from chat.wire import openai
from chat.wire.openai_request import parse_request

any_text = st.text(st.characters(exclude_categories=[]), max_size=100).map(clean_text)
pieces = st.lists(st.tuples(st.sampled_from([EventKind.DELTA, EventKind.REASONING]), any_text))
USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
COUNTS = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def head(**fields):
    return openai.Head(id="chatcmpl-1", created=17, model="demo", **fields)


def log(*texts, kind=EventKind.DONE, **end):
    """Return the events of an answer with these (kind, text) pieces."""
    rows = [(EventKind.STARTED, {"model": "demo", "message": "m"})]
    rows += [(each, {"text": text}) for each, text in texts]
    if kind is EventKind.DONE:
        end = {"finish_reason": "stop", "usage": USAGE} | end
    rows.append((kind, end))
    return [Event.create(cursor=i, kind=k, data=data) for i, (k, data) in enumerate(rows, 1)]


def blocks(stream):
    """Return the data of each block, as the official client's decoder cuts them."""
    return [event.data for event in SSEDecoder().iter_bytes(iter([stream.encode()]))]


def chunks(events, **fields):
    *found, end = blocks(openai.ChunkEncoder(head(**fields)).encode(events))
    assert end == "[DONE]"
    return [json.loads(data) for data in found]


def delta(text):
    return EventKind.DELTA, text


class StreamTests(SimpleTestCase):
    @given(pieces)
    def test_the_official_decoder_gives_back_the_text_and_the_reasoning(self, texts):
        content = reasoning = ""
        for data in chunks(log(*texts)):
            chunk = ChatCompletionChunk.model_validate(data)
            content += chunk.choices[0].delta.content or ""
            reasoning += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
        assert content == "".join(text for kind, text in texts if kind is EventKind.DELTA)
        assert reasoning == "".join(text for kind, text in texts if kind is EventKind.REASONING)

    @given(pieces, st.integers(1, 50))
    def test_what_reads_model_servers_reads_this_one_however_it_is_cut(self, texts, size):
        stream = openai.ChunkEncoder(head(include_usage=True)).encode(log(*texts)).encode()
        parser, deltas = EventStreamParser(), Deltas()
        for start in range(0, len(stream), size):
            for event in parser.feed(stream[start : start + size]):
                deltas.add(event.data)
        assert parser.stray_lines == 0
        assert deltas.ended
        assert (deltas.finish_reason, deltas.usage) == ("stop", USAGE)
        told = "".join(text for kind, text in texts if kind is EventKind.DELTA)
        assert deltas.text.take() == told.replace("\0", "\ufffd")

    def test_every_chunk_has_the_same_head_and_only_the_last_a_finish_reason(self):
        found = chunks(log(delta("a"), delta("b")))
        heads = {(each["id"], each["created"], each["model"], each["object"]) for each in found}
        assert heads == {("chatcmpl-1", 17, "demo", "chat.completion.chunk")}
        assert [each["choices"][0]["finish_reason"] for each in found] == [None, None, None, "stop"]
        deltas = [each["choices"][0]["delta"] for each in found]
        assert deltas == [
            {"role": "assistant", "content": ""},
            {"content": "a"},
            {"content": "b"},
            {},
        ]
        assert all("usage" not in each for each in found)

    def test_usage_comes_last_and_is_null_before_it(self):
        *before, last = chunks(log(delta("a")), include_usage=True)
        assert [each["usage"] for each in before] == [None] * 3
        assert (last["choices"], last["usage"]) == ([], COUNTS)

    def test_an_answer_without_counts_ends_all_the_same(self):
        *_, last = chunks(log(usage=None), include_usage=True)
        assert (last["choices"], last["usage"]) == ([], None)

    def test_an_event_is_encoded_once_for_all_readers(self):
        events = log(delta("a"))
        chunks(events)
        for event in events:
            assert event.encoded.keys() == {"openai"}
            event.encoded["openai"] = '"choices":"as before"'
        assert {each["choices"] for each in chunks(events)} == {"as before"}

    def test_steps_are_not_told(self):
        step = Event.create(cursor=2, kind=EventKind.STEP, data={"name": "retry"})
        assert openai.ChunkEncoder(head()).encode([step]) == ""

    def test_a_failure_is_the_last_block_and_nothing_says_that_it_is_done(self):
        fields = {"code": "upstream_reset", "message": "It broke.", "retryable": True}
        stream = openai.ChunkEncoder(head()).encode(
            log(delta("a"), kind=EventKind.FAILED, **fields)
        )
        *_, last = blocks(stream)
        assert json.loads(last)["error"] == {
            "message": "It broke.",
            "type": "server_error",
            "param": None,
            "code": "upstream_reset",
        }
        assert "[DONE]" not in stream
        assert 'finish_reason":"' not in stream

    def test_an_interrupted_answer_is_a_failure_and_a_stopped_one_is_not(self):
        stream = openai.ChunkEncoder(head()).encode(log(kind=EventKind.INTERRUPTED))
        assert json.loads(blocks(stream)[-1])["error"]["code"] == "interrupted"
        *_, last = chunks(log(delta("a"), kind=EventKind.STOPPED))
        assert last["choices"][0]["finish_reason"] == "stop"

    def test_no_block_has_a_field_but_data(self):
        stream = openai.ChunkEncoder(head()).encode(log(delta("\nid: 1\nretry: 2\n\n")))
        lines = {
            line.partition(":")[0] for line in (stream + openai.KEEP_ALIVE).split("\n") if line
        }
        assert lines == {"data", ""}

    def test_finish_reasons_are_in_the_words_of_the_dialect(self):
        said = {"stop": "stop", "length": "length", "max_tokens": "length", "eos": "stop"}
        said |= {"content_filter": "content_filter", "STOP": "stop", "": "stop"}
        for theirs, ours in said.items():
            assert openai.finish_reason(log(finish_reason=theirs)[-1]) == ours

    @given(pieces)
    def test_padding_adds_nothing_that_a_client_would_see(self, texts):
        stream = openai.ChunkEncoder(head()).encode(log(*texts))
        padded = openai.pad(stream)
        assert len(padded) >= openai.PADDED_LENGTH
        assert blocks(padded) == blocks(stream)
        assert padded.endswith(stream)
        assert openai.pad(padded) == padded


class WholeTests(SimpleTestCase):
    @given(pieces)
    def test_a_whole_answer_says_what_the_stream_says(self, texts):
        found = ChatCompletion.model_validate(openai.completion(head(), log(*texts)))
        assert found.choices[0].message.content == "".join(
            text for kind, text in texts if kind is EventKind.DELTA
        )
        assert found.usage.model_dump(exclude_none=True) == COUNTS
        assert found.choices[0].finish_reason == "stop"

    def test_errors_have_the_dialects_codes(self):
        cases = [
            (UnknownModel("?"), 404, "model_not_found", "model", "invalid_request_error"),
            (BadRequest("?", param="n"), 400, "bad_request", "n", "invalid_request_error"),
            (RateLimited("?"), 429, "rate_limit_exceeded", None, "rate_limit_error"),
        ]
        for error, status, code, param, kind in cases:
            failure = openai.failure_from(error)
            told = json.loads(failure.body)["error"]
            assert failure.status == status
            assert told == {"message": "?", "type": kind, "param": param, "code": code}

    def test_a_failed_answer_has_the_status_of_its_error(self):
        statuses = {"upstream_timeout": 504, "upstream_rate_limited": 429, "storage": 507}
        statuses |= {"upstream_model_not_found": 404, "not a code of ours": 500}
        for code, status in statuses.items():
            end = log(kind=EventKind.FAILED, code=code, message="?")[-1]
            assert openai.failure_of(end).status == status


def parse(**fields):
    return parse_request(json.dumps(HELLO | fields).encode())


class RequestTests(SimpleTestCase):
    def test_roles_become_the_sites_own_and_parts_are_joined(self):
        told = [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": None},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "tool", "tool_call_id": "x", "content": "42"},
        ]
        turns = [("system", "Be brief."), ("user", "ab"), ("assistant", "No."), ("user", "42")]
        assert parse(messages=told).turns == turns

    def test_unknown_parameters_are_ignored(self):
        assert parse(user="x", metadata={"a": "b"}, seed=1, tools=[], n=1, new={}).options is None

    def test_options_are_those_that_were_given(self):
        given = {"max_tokens": 5, "temperature": 0, "top_p": 0.5}
        assert parse(**given, stop="x").options == given | {"stop": ["x"]}
        assert parse(max_completion_tokens=5, stop=["x", "y"]).options == {
            "max_completion_tokens": 5,
            "stop": ["x", "y"],
        }

    def test_what_cannot_be_had_is_refused_by_name(self):
        image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}
        refused = {
            "n": 2,
            "tools": [{"type": "function"}],
            "functions": [{}],
            "response_format": {"type": "json_object"},
        }
        for param, value in refused.items():
            with pytest.raises(UnsupportedParameter) as caught:
                parse(**{param: value})
            assert caught.value.param == param
        with pytest.raises(UnsupportedParameter) as caught:
            parse(messages=[image])
        assert caught.value.param == "messages.0.content"
        assert parse(response_format={"type": "text"})

    def test_what_has_not_the_form_is_refused_by_name(self):
        wrong = {"temperature": 3, "max_tokens": 0, "stop": [""], "top_p": "much", "stream": []}
        for param, value in wrong.items():
            with pytest.raises(BadRequest) as caught:
                parse(**{param: value})
            assert caught.value.param.startswith(param)

    def test_the_last_message_must_be_a_prompt(self):
        user, answer = HELLO["messages"][0], {"role": "assistant", "content": "Hi"}
        for messages in ([], [user, answer], [{"role": "user", "content": " "}], [answer]):
            with pytest.raises(BadRequest):
                parse(messages=messages)


def test_the_async_decoder_of_the_official_client_reads_comments_too():
    async def read():
        async def source():
            yield (openai.KEEP_ALIVE + openai.ChunkEncoder(head()).encode(log(delta("a")))).encode()
            yield openai.KEEP_ALIVE.encode()

        return [event.data async for event in SSEDecoder().aiter_bytes(source())]

    found = [data for data in asyncio.run(read()) if data]
    assert found[-1] == "[DONE]"

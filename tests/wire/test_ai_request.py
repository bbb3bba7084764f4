import json

import pytest
from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import BadRequest
from chat.wire import ai_request
from chat.wire.ai_request import (
    AbortFrame,
    ResumeFrame,
    SendFrame,
    parse_chat,
    parse_completion,
    parse_frame,
    parse_stop,
)

words = st.sampled_from(["", "user", "assistant", "text", "regenerate-message", "\x00", "\ud800"])
keys = st.sampled_from(["id", "role", "parts", "content", "type", "text"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["id", "messages", "message", "trigger", "messageId", "model", "agent"])


def ui(text, role="user", message_id="m1"):
    """Return a message as versions from 5 on send it."""
    return {"id": message_id, "role": role, "parts": [{"type": "text", "text": text}]}


def parse(*messages, **fields):
    body = {"id": "chat 1", "messages": list(messages), "trigger": "submit-message"} | fields
    return parse_chat(json.dumps(body).encode())


class ChatTests(SimpleTestCase):
    def test_the_last_message_is_the_prompt_and_the_others_stand_above_it(self):
        found = parse(ui("one", message_id="a"), ui("1", "assistant", "b"), ui("two"))
        assert (found.id, found.prompt, found.is_again) == ("chat 1", "two", False)
        assert [each.id for each in found.above] == ["a", "b"]
        assert found.turns == [("user", "one"), ("assistant", "1")]

    def test_messages_of_all_versions_are_read(self):
        parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        for message in (
            {"role": "user", "content": "ab"},
            {"role": "user", "content": parts},
            {"role": "user", "content": "ab", "parts": []},
            {"role": "user", "content": "", "parts": parts},
            {"parts": parts, "role": "user", "id": "x", "metadata": {}},
        ):
            assert parse(message).prompt == "ab"
        alone = parse_chat(json.dumps({"id": "c", "message": ui("ab")}).encode())
        assert (alone.prompt, alone.turns) == ("ab", [])
        oldest = parse_chat(json.dumps({"messages": [{"role": "user", "content": "ab"}]}).encode())
        assert (oldest.id, oldest.prompt) == (None, "ab")

    def test_parts_of_other_types_are_ignored(self):
        parts = [
            {"type": "step-start"},
            {"type": "reasoning", "text": "no"},
            {"type": "data-x", "data": {}},
            {"type": "tool-y", "state": "output-available"},
            {"type": "file", "mediaType": "image/png", "url": "data:"},
            {"type": "text", "text": "yes"},
            {"type": "text"},
            {"new": True},
            "words",
        ]
        assert parse({"id": "m", "role": "user", "parts": parts}).prompt == "yes"

    def test_roles_that_are_not_known_are_not_told(self):
        told = [{"role": role, "content": role} for role in ("developer", "data", "tool", "user")]
        assert parse(*told).turns == [("system", "developer")]

    def test_an_answer_can_be_asked_for_again_without_a_prompt(self):
        for messages in ((), (ui("one"), ui("1", "assistant"))):
            found = parse(*messages, trigger="regenerate-message", messageId="x")
            assert (found.is_again, found.messageId) == (True, "x")

    def test_a_prompt_in_the_place_of_another_is_an_edit(self):
        assert parse(ui("one"), messageId="m1").is_edit
        assert not parse(ui("one")).is_edit
        assert not parse(ui("one"), messageId="m2").is_edit
        assert not parse({"role": "user", "content": "one"}, messageId="").is_edit

    def test_what_a_page_sends_of_its_own_is_let_be(self):
        found = parse(ui("one"), model={"name": "x"}, agent=3, webSearch=True)
        assert (found.model, found.agent) == ("", None)
        found = parse(ui("one"), model="demo", agent="")
        assert (found.model, found.agent) == ("demo", "")

    def test_what_cannot_be_answered_is_refused_with_a_short_text(self):
        answer = ui("1", "assistant")
        for body in (
            {},
            {"id": "", "messages": [ui("x")]},
            {"id": "c" * 256, "messages": [ui("x")]},
            {"id": "\x00", "messages": [ui("x")]},
            {"id": 3, "messages": [ui("x")]},
            {"id": "c", "messages": []},
            {"id": "c", "messages": [ui("x"), answer]},
            {"id": "c", "messages": [ui("  ")]},
            {"id": "c", "messages": [{"parts": []}]},
            {"id": "c", "messages": "x"},
            {"id": "c", "messages": [{"role": "user", "parts": "x"}]},
            {"messages": [answer], "trigger": "regenerate-message"},
        ):
            with pytest.raises(BadRequest) as caught:
                parse_chat(json.dumps(body).encode())
            assert 0 < len(str(caught.value)) < 200

    @given(st.dictionaries(names, anything))
    def test_whatever_comes_is_read_or_refused(self, body):
        try:
            found = parse_chat(json.dumps(body).encode())
        except BadRequest:
            return
        assert found.is_again or found.prompt.strip()
        assert isinstance(found.turns, list)
        assert found.is_edit in (True, False)


class OtherBodyTests(SimpleTestCase):
    def test_a_completion_has_a_prompt(self):
        assert parse_completion(b'{"prompt": "x", "more": 1}').prompt == "x"
        for raw in (b"{}", b'{"prompt": 1}', b"[]"):
            with pytest.raises(BadRequest):
                parse_completion(raw)

    def test_a_stop_may_name_the_answer(self):
        assert parse_stop(b'{"messageId": "m"}').messageId == "m"
        assert parse_stop(b"{}").messageId == ""


def frame(kind, **fields):
    return parse_frame({"type": kind, "requestId": "r"} | fields)


class FrameTests(SimpleTestCase):
    def test_frames_become_values(self):
        sent = frame(
            "send",
            id="chat 1",
            trigger="submit-message",
            messages=[ui("one")],
            headers={"idempotency-key": "k"},
            body={"model": "demo", "id": "another"},
            metadata=None,
        )
        assert isinstance(sent, SendFrame)
        asked = sent.request
        assert (asked.id, asked.prompt, asked.model, sent.key) == ("chat 1", "one", "demo", "k")
        resumed = frame("resume", id="chat 1", headers={}, body={})
        assert isinstance(resumed, ResumeFrame)
        assert (resumed.id, resumed.lastSequence) == ("chat 1", None)
        assert frame("resume", id="c", lastSequence=3).lastSequence == 3
        assert isinstance(frame("abort"), AbortFrame)

    def test_frames_of_another_form_are_refused_by_name(self):
        for fields, named in (
            ({"type": "ping"}, "type"),
            ({"type": ["send"]}, "type"),
            ({"type": "abort", "requestId": ""}, "requestId"),
            ({"type": "abort", "requestId": "r" * 129}, "requestId"),
            ({"type": "resume"}, "id"),
            ({"type": "resume", "id": "c", "lastSequence": -2}, "lastSequence"),
            ({"type": "send", "id": "c", "messages": []}, "messages"),
        ):
            with pytest.raises(BadRequest, match=named):
                parse_frame({"requestId": "r"} | fields)

    def test_every_type_of_frame_is_known_by_its_name(self):
        for name, model in ai_request.FRAMES.items():
            assert model.model_fields["type"].annotation.__args__ == (name,)

import json
from uuid import uuid4

import pytest
from django.test import SimpleTestCase

from chat.errors import BadRequest
from chat.wire import frames
from chat.wire.parse import parse_object


class ParseObjectTests(SimpleTestCase):
    def test_b01_other_than_an_object_is_refused(self):
        for raw in ("", "[]", "1", '"a"', "null", "{", "{]", "[{}]"):
            with pytest.raises(BadRequest):
                parse_object(raw)

    def test_b02_deep_nesting_is_refused_without_a_crash(self):
        for raw in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
            with pytest.raises(BadRequest):
                parse_object(raw)

    def test_b03_numbers_that_are_none_are_refused(self):
        for number in ("NaN", "Infinity", "-Infinity", "1" * 5000):
            with pytest.raises(BadRequest):
                parse_object(f'{{"a":{number}}}')

    def test_b03_of_duplicate_keys_the_last_wins(self):
        assert parse_object('{"a":1,"a":2}') == {"a": 2}

    def test_b05_bytes_that_are_not_utf8_are_refused(self):
        with pytest.raises(BadRequest, match="UTF-8"):
            parse_object(b'{"a":"\xff"}')


class ParseFrameTests(SimpleTestCase):
    def test_frames_become_values(self):
        pk = str(uuid4())
        for raw, kind in (
            ({"type": "send", "id": "1", "conversation": None, "text": "hi"}, frames.Send),
            ({"type": "regenerate", "id": "1", "message": pk}, frames.Regenerate),
            ({"type": "follow", "generation": pk, "after": 0}, frames.Follow),
            ({"type": "unfollow", "generation": pk}, frames.Unfollow),
            ({"type": "stop", "generation": pk}, frames.Stop),
            ({"type": "ping"}, frames.Ping),
        ):
            assert type(frames.parse_frame(json.dumps(raw))) is kind

    def test_b03_wrong_types_and_unknown_fields_are_refused_by_name(self):
        pk = str(uuid4())
        for raw, field in (
            ({"type": "follow", "generation": pk, "after": True}, "after"),
            ({"type": "follow", "generation": pk, "after": 1.0}, "after"),
            ({"type": "follow", "generation": pk, "after": 10**30}, "after"),
            ({"type": "follow", "generation": pk, "after": -1}, "after"),
            ({"type": "follow", "generation": 1}, "generation"),
            ({"type": "stop", "generation": "x"}, "generation"),
            ({"type": "send", "id": "1", "text": 1}, "text"),
            ({"type": "send", "id": "", "text": "a"}, "id"),
            ({"type": "send", "id": "x" * 129, "text": "a"}, "id"),
            ({"type": "send", "id": "a\0", "text": "a"}, "id"),
            ({"type": "send", "id": "1", "text": "a", "prnt": pk}, "prnt"),
        ):
            with pytest.raises(BadRequest, match=field):
                frames.parse_frame(json.dumps(raw))

    def test_an_unknown_type_is_refused_with_the_known_ones(self):
        with pytest.raises(BadRequest, match="regenerate"):
            frames.parse_frame('{"type":"cancel"}')

    def test_b06_b07_text_is_made_storable(self):
        frame = frames.parse_frame(
            '{"type":"send","id":"1","text":"a\\u0000b\\ud83dc\\ud83d\\ude00"}'
        )
        assert frame.text == "a\ufffdb\ufffdc😀"

    def test_the_schema_names_every_frame(self):
        schema = json.dumps(frames.json_schema())
        for name in ("send", "regenerate", "follow", "unfollow", "stop", "ping"):
            assert f'"{name}"' in schema

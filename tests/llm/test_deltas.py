import json
from itertools import pairwise

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.errors import ModelError, UpstreamProtocol
from chat.llm.deltas import Deltas, Text, read_usage
from chat.llm.failures import printable, retry_after


def content(text):
    return json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


class TextTests(SimpleTestCase):
    @settings(deadline=None)
    @given(st.text(st.characters(codec=None, categories=None)), st.lists(st.integers(0, 50)))
    def test_any_cutting_of_utf_16_gives_the_text_back(self, text, cuts):
        units = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        expected = units.replace("\0", "\ufffd")
        halves = units.encode("utf-16-le")
        halves = "".join(
            chr(int.from_bytes(halves[i : i + 2], "little")) for i in range(0, len(halves), 2)
        )
        ends = [0, *sorted(min(cut, len(halves)) for cut in cuts), len(halves)]
        parts, out = Text(), ""
        parts.may_hold_surrogates = True
        for a, b in pairwise(ends):
            parts.parts.append(halves[a:b])
            out += parts.take()
        assert out + parts.take_rest() == expected

    @settings(deadline=None)
    @given(st.text(st.sampled_from("a\ud83d\udc4b\ud800\udfff\0")), st.integers(1, 4))
    def test_whatever_comes_can_be_stored(self, text, size):
        deltas, out = Deltas(), ""
        for i in range(0, len(text), size):
            deltas.add(content(text[i : i + size]))
            out += deltas.text.take()
        out += deltas.text.take_rest()
        assert "\0" not in out
        assert out.encode().decode() == out


class DeltasTests(SimpleTestCase):
    @settings(deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
            lambda values: (
                st.lists(values, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["choices", "delta", "content", "error", "usage", "x_groq", "reasoning"]
                    ),
                    values,
                )
            ),
        )
    )
    def test_no_json_raises_anything_but_a_model_error(self, value):
        deltas = Deltas()
        try:
            deltas.add(json.dumps(value).encode())
        except ModelError:
            return
        assert isinstance(deltas.text.take(), str)
        assert isinstance(deltas.reasoning.take(), str)

    def test_deep_or_broken_json_is_a_protocol_error(self):
        for data in (b"[" * 100_000, b"{", b"", b"\xff", b"[]", b"1", b'"x"', b"1" * 10_000):
            with self.subTest(data[:10]), self.assertRaises(UpstreamProtocol):
                Deltas().add(data)

    def test_invalid_utf_8_becomes_replacement_characters(self):
        deltas = Deltas()
        deltas.add(b'{"choices":[{"delta":{"content":"a\xffb"}}]}')
        assert deltas.text.take() == "a\ufffdb"

    def test_content_in_parts_is_joined(self):
        deltas = Deltas()
        deltas.add(content([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]))
        assert deltas.text.take() == "ab"

    def test_usage_without_a_total_is_summed(self):
        assert read_usage({"prompt_tokens": 1, "completion_tokens": 2}) == {
            "input_tokens": 1,
            "output_tokens": 2,
            "total_tokens": 3,
        }
        assert read_usage({"prompt_tokens": True, "completion_tokens": 2}) is None


class FailureTests(SimpleTestCase):
    def test_words_for_the_log_are_short_escaped_and_without_keys(self):
        words = printable("a\n\x1b]52;c;x\x07 Bearer abcdefgh sk-proj-12345678 " + "y" * 5000)
        assert words.isprintable()
        assert len(words) <= 501
        assert "abcdefgh" not in words
        assert "12345678" not in words

    def test_retry_after_in_all_its_forms(self):
        assert retry_after({"retry-after": "2"}) == 2
        assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
        assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
        for value in ("soon", "-1", "nan", "inf", "", "9" * 400):
            assert retry_after({"retry-after": value}) is None

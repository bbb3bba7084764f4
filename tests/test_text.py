from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.text import clean_text


class CleanTextTests(SimpleTestCase):
    @given(st.text(st.characters(exclude_categories=[])))
    def test_the_result_can_be_stored_and_sent(self, text):
        cleaned = clean_text(text)
        cleaned.encode()
        assert "\x00" not in cleaned

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
    def test_sound_text_is_left_alone(self, text):
        assert clean_text(text) is text

    def test_halves_that_stand_together_are_joined(self):
        assert clean_text("\ud83d\ude00") == "😀"
        assert clean_text("\ude00\ud83d") == "\ufffd\ufffd"

import pytest

from chat.terminal.words import duration, one_line, printable


def test_what_steers_a_terminal_is_made_harmless():
    text = printable("\x1b[31mred\x07\x08 \x9b1m\x7f\x00")
    assert text == "\ufffd[31mred\ufffd\ufffd \ufffd1m\ufffd\ufffd"


def test_text_stays_as_it_is():
    text = "Grüße,\n\t世界 👋🏽\u2028|"
    assert printable(text) == text
    assert printable("a\r\nb\rc") == "a\nbc"


def test_a_title_is_one_line():
    assert one_line(" a\n\tb \x1b ") == "a b \ufffd"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "< 0.1 s"), (0.84, "0.8 s"), (9.94, "9.9 s"), (12.4, "12 s"), (125, "2 min 5 s")],
)
def test_times_are_rounded(seconds, words):
    assert duration(seconds) == words

import re

from chat.models.snippets import LENGTH, snippet

TEA = re.compile("tea", re.IGNORECASE)


def shown(parts):
    return "".join(f"[{part['text']}]" if part["found"] else part["text"] for part in parts)


def test_a_short_text_is_shown_whole():
    assert shown(snippet("Green Tea, and more tea.", TEA)) == "Green [Tea], and more [tea]."


def test_of_a_long_text_the_place_is_shown():
    line = shown(snippet("a word " * 300 + "tea " + "and so on " * 300, TEA))
    assert line.startswith("…")
    assert line.endswith("…")
    assert "word [tea] and" in line
    assert len(line) < LENGTH + 10


def test_without_a_place_the_beginning_is_shown():
    assert shown(snippet("Nothing of it.", TEA)) == "Nothing of it."
    assert snippet("", TEA) == []


def test_lines_and_markup_are_one_plain_line():
    assert shown(snippet("# Title\n\n> **Tea** is\n`good`", TEA)) == "Title [Tea] is good"


def test_a_text_without_any_space_is_cut():
    assert len(shown(snippet("x" * 9000 + "tea" + "x" * 9000, TEA))) < LENGTH + 10

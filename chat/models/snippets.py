"""What stands around a word that was found in a text. Pure functions."""

import re
from itertools import pairwise
from typing import TypedDict

LENGTH = 150
BEFORE = 40  # Of it, what may stand before the word.
# Of Markdown what is no word: fences with their language, lines of tables, marks.
_MARKUP = re.compile(r"^\s*```\w*|^[\s|:-]*-{2,}[\s|:-]*$|^\s*>+|[*`#|]+", re.MULTILINE)


class Part(TypedDict):
    """A part of a snippet, and whether it is what was looked for."""

    text: str
    found: bool


def snippet(text: str, pattern: re.Pattern[str]) -> list[Part]:
    """
    Return the line around the first place of a pattern, in parts; of none, the beginning.

    Plain text: whoever shows it escapes it.
    """
    first = pattern.search(text)
    start = max(0, first.start() - BEFORE) if first else 0
    # Rather a word more than half of one.
    while start and not text[start - 1].isspace() and first and first.start() - start < LENGTH // 2:
        start -= 1
    piece = text[start : start + LENGTH + BEFORE]
    line = " ".join(_MARKUP.sub("", piece).split())
    cut = line[:LENGTH].rsplit(" ", 1)[0] if len(line) > LENGTH and " " in line else line[:LENGTH]
    is_cut = len(cut) < len(line) or start + len(piece) < len(text)
    return _parts(f"{'…' if start else ''}{cut}{'…' if is_cut else ''}", pattern)


def _parts(line: str, pattern: re.Pattern[str]) -> list[Part]:
    edges = [0, *(edge for found in pattern.finditer(line) for edge in found.span()), len(line)]
    parts = [
        Part(text=line[start:end], found=bool(number % 2))
        for number, (start, end) in enumerate(pairwise(edges))
    ]
    return [part for part in parts if part["text"]]

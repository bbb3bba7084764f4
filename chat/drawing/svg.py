"""Elements of SVG, and how they become markup."""

import re
from collections.abc import Iterable
from unicodedata import east_asian_width
from xml.etree.ElementTree import Element, tostring

NAMESPACE = "http://www.w3.org/2000/svg"
# What no XML document may hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(
    tag: str, attributes: dict[str, object] | None = None, *children: "Element | str | None"
) -> Element:
    """
    Return an element. Children are elements, or one text; None stands for nothing.

    Underscores in the names of attributes stand for hyphens, and numbers are rounded.
    """
    made = Element(tag)
    for name, value in (attributes or {}).items():
        if value is not None:
            made.set(name.replace("_", "-"), _value(value))
    for child in children:
        if isinstance(child, str):
            made.text = _FORBIDDEN.sub("\ufffd", child)
        elif child is not None:
            made.append(child)
    return made


def markup(root: Element) -> str:
    """Return the markup of a picture: whole as a document, and as a part of a page."""
    return tostring(root, encoding="unicode", short_empty_elements=False)


def text_width(text: str, *, size: float) -> float:
    """Return the width of a text in a fixed-width face, the widest of the usual ones."""
    return 0.61 * size * sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def path(points: Iterable[tuple[float, float]]) -> str:
    """Return the data of a path through points: a straight line and a bend in turn."""
    (x, y), *rest = points
    parts = [f"M{_number(x)} {_number(y)}"]
    for place, (to_x, to_y) in enumerate(rest):
        end = f"{_number(to_x)} {_number(to_y)}"
        if place % 2 == 0 or to_y == y:
            parts.append(f"L{end}")
        else:
            half = _number((x + to_x) / 2)
            parts.append(f"C{half} {_number(y)} {half} {_number(to_y)} {end}")
        x, y = to_x, to_y
    return "".join(parts)


def _value(value: object) -> str:
    if isinstance(value, float):
        return _number(value)
    return _FORBIDDEN.sub("\ufffd", str(value))


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

"""
Figures as columns, bars and lines.

Across, places are percent: letters keep their size, however narrow the page is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

from chat.drawing.svg import element, markup, shorten

HEIGHT, TOP, BOTTOM = 220, 12, 24  # Pixels: of a chart, above its columns, and below them.
LEFT, RIGHT = 15.0, 99.0  # Percent: where columns begin, right of the scale, and end.
LABELS = 4  # At most so many days are named: more would touch on a narrow page.
TICKS = 4
NICE = (1, 2, 2.5, 5)
COLOURS = 6  # What comes after has the last one's.
BAR_HEIGHT, BAR_STEP = 14, 40
NAME_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Series:
    """A row of values with a name. None is a gap."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a chart is called and says, and how it writes a number."""

    id: str  # Of the page's: each chart has one of its own.
    title: str
    description: str
    number: Callable[[float], str] = "{:,.0f}".format


def draw_columns(labels: Sequence[str], series: Sequence[Series], words: Words) -> str:
    """Return the markup of one column for each label, in which the series are stacked."""
    totals = [sum(each.values[n] or 0 for each in series) for n in range(len(labels))]
    root, place = _plane(labels, max(totals, default=0), words)
    width = _step(labels)
    for n, label in enumerate(labels):
        below = 0.0
        for colour, each in enumerate(series):
            if value := each.values[n]:
                top, bottom = place(below + value), place(below)
                told = f"{label}, {each.name}: {words.number(value)}"
                across = {
                    "x": _percent(_left(labels, n) + width / 10),
                    "width": _percent(width * 0.8),
                }
                shape = {"class": colour_of(colour), **across, "y": top, "height": bottom - top}
                root.append(element("rect", shape, element("title", {}, told)))
                below += value
    return markup(root)


def draw_lines(labels: Sequence[str], series: Sequence[Series], words: Words) -> str:
    """Return the markup of a line for each series, broken where it has no value."""
    values = [value for each in series for value in each.values if value is not None]
    root, place = _plane(labels, max(values, default=0), words)
    for colour, each in enumerate(series):
        looks = colour_of(colour)
        points = [
            (_percent(_left(labels, n) + _step(labels) / 2), value, labels[n])
            for n, value in enumerate(each.values)
        ]
        for (x, value, _), (to_x, to_value, _) in pairwise(points):
            if value is not None and to_value is not None:
                ends = {"x1": x, "y1": place(value), "x2": to_x, "y2": place(to_value)}
                root.append(element("line", {"class": f"chart-line {looks}", **ends}))
        for x, value, label in points:
            if value is not None:
                told = element("title", {}, f"{label}, {each.name}: {words.number(value)}")
                shape = {"class": looks, "cx": x, "cy": place(value), "r": 3 + colour}
                root.append(element("circle", shape, told))
    return markup(root)


def draw_bars(labels: Sequence[str], values: Sequence[float], words: Words) -> str:
    """Return the markup of a bar for each label, below its name and number."""
    root = _root(words, max(len(labels) * BAR_STEP, 1))
    most = max(values, default=0) or 1
    for n, (label, value) in enumerate(zip(labels, values, strict=True)):
        top = n * BAR_STEP
        number = words.number(value)
        _name_bar(root, top, label, number)
        shape = {"class": colour_of(0), "x": 0, "y": top + 20, "height": BAR_HEIGHT, "rx": 2,
                 "width": _percent(value / most * 100)}  # fmt: skip
        root.append(element("rect", shape, element("title", {}, f"{label}: {number}")))
    return markup(root)


def draw_shares(labels: Sequence[str], series: Sequence[Series], words: Words) -> str:
    """
    Return the markup of a whole bar for each label, which the series share.

    Beside its name stands the first one's part of it, in percent.
    """
    root = _root(words, max(len(labels) * BAR_STEP, 1))
    for n, label in enumerate(labels):
        values = [each.values[n] or 0 for each in series]
        whole, top, left = sum(values) or 1, n * BAR_STEP, 0.0
        _name_bar(root, top, label, f"{words.number(values[0] / whole * 100)} %")
        for colour, (each, value) in enumerate(zip(series, values, strict=True)):
            width = value / whole * 100
            if value:
                told = element("title", {}, f"{label}, {each.name}: {words.number(value)}")
                across = {"x": _percent(left), "width": _percent(width)}
                shape = {"class": colour_of(colour), "y": top + 20, "height": BAR_HEIGHT, **across}
                root.append(element("rect", shape, told))
            left += width
    return markup(root)


def _name_bar(root: Element, top: int, label: str, number: str) -> None:
    name = shorten(label, NAME_LENGTH)
    root.append(element("text", {"class": "chart-name", "x": 0, "y": top + 14}, name))
    where = {"class": "chart-number", "x": "100%", "y": top + 14, "text_anchor": "end"}
    root.append(element("text", where, number))


def colour_of(place: int) -> str:
    """Return the class of a series by its place."""
    return f"series-{min(place, COLOURS - 1) + 1}"


def scale(most: float) -> list[float]:
    """Return round numbers from 0 on, of which the last is not below the most."""
    step, power = 0.0, 10.0**-9
    while not step and most > 0:
        step = next((digit * power for digit in NICE if digit * power * TICKS >= most), 0.0)
        power *= 10
    return [n * (step or 1.0) for n in range(TICKS + 1)]


def _plane(
    labels: Sequence[str], most: float, words: Words
) -> tuple[Element, Callable[[float], float]]:
    """Return an empty chart with its scales, and where a value stands in it."""
    root, ticks = _root(words, HEIGHT), scale(most)
    room = HEIGHT - TOP - BOTTOM

    def place(value: float) -> float:
        return TOP + room - value / ticks[-1] * room

    for tick in ticks:
        y = place(tick)
        root.append(element("line", {"class": "chart-grid", "x1": _percent(LEFT),
                                     "x2": _percent(RIGHT), "y1": y, "y2": y}))  # fmt: skip
        where = {"class": "chart-number", "x": _percent(LEFT - 1.5), "y": y + 4}
        root.append(element("text", {**where, "text_anchor": "end"}, _short(tick)))
    every = -(-len(labels) // LABELS) or 1
    for n in range(0, len(labels), every):
        x = _percent(_left(labels, n) + _step(labels) / 2)
        where = {"class": "chart-number", "x": x, "y": HEIGHT - 6, "text_anchor": "middle"}
        root.append(element("text", where, labels[n]))
    return root, place


def _root(words: Words, height: int) -> Element:
    title, text = f"{words.id}-title", f"{words.id}-text"
    looks = {"class": "chart", "width": "100%", "height": height, "role": "img"}
    named = {"aria_labelledby": title, "aria_describedby": text}
    return element(
        "svg",
        {**looks, **named},
        element("title", {"id": title}, words.title),
        element("desc", {"id": text}, words.description),
    )


def _short(value: float) -> str:
    """Return a number of a scale, in as few letters as it takes."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:g}{letter}"
    return f"{value:g}"


def _step(labels: Sequence[str]) -> float:
    return (RIGHT - LEFT) / max(len(labels), 1)


def _left(labels: Sequence[str], n: int) -> float:
    return LEFT + n * _step(labels)


def _percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"

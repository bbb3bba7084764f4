"""When things happened, as bars on one axis from which long pauses are cut."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from xml.etree.ElementTree import Element

from chat.drawing.svg import element, markup

PAUSE_SECONDS = 1.0  # A longer time in which nothing happened is cut.
PAUSE_SHARE, MAX_PAUSES_SHARE = 3.0, 30.0  # Of the axis, in percent: what is left of pauses.
LEAST_BAR = 0.4  # Percent: the shortest thing is still seen.
TICKS = 4
NICE = (1, 2, 2.5, 5)
MAX_GRID = 120  # Bars; a grid behind more of them would be most of the page.
BAR_HEIGHT, SCALE_HEIGHT = 24, 18
NARROW, LETTER = 150, 6.5  # Pixels: an axis with little room, and a letter of its numbers.


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    What took some time, in seconds on one clock.

    ``end`` is that of the whole, or now; ``first`` is when its first text came.
    While it runs that may not be known of what ``gives_text``.
    """

    start: float
    end: float
    first: float | None = None
    is_failed: bool = False
    is_running: bool = False
    gives_text: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass
class Axis:
    """Where a time stands, in percent of the width."""

    spans: Sequence[Span]
    pauses: list[Pause] = field(init=False)
    begin: float = field(init=False)
    busy: float = field(init=False)  # Seconds, without the pauses.

    def __post_init__(self) -> None:
        spans = sorted(self.spans, key=lambda span: span.start)
        self.begin = spans[0].start if spans else 0.0
        self.pauses, latest = [], self.begin
        for span in spans:
            if span.start - latest > PAUSE_SECONDS:
                self.pauses.append(Pause(latest, span.start))
            latest = max(latest, span.end)
        cut = sum(pause.seconds for pause in self.pauses)
        self.busy = max(latest - self.begin - cut, 0.001)

    def place(self, time: float) -> float:
        share = self.pause_share
        passed = [pause for pause in self.pauses if pause.end <= time]
        busy = time - self.begin - sum(pause.seconds for pause in passed)
        width = 100.0 - share * len(self.pauses)
        return min(max(busy / self.busy * width + share * len(passed), 0.0), 100.0)

    @cached_property
    def ticks(self) -> list[tuple[float, float]]:
        """Return round numbers of busy seconds, and where they stand."""
        step = _nice(self.busy / TICKS)
        count = int(self.busy / step + 1e-9)
        return [(step * n, self.place(self._time(step * n))) for n in range(count + 1)]

    def _time(self, busy: float) -> float:
        time = self.begin + busy
        for pause in self.pauses:
            if time > pause.start:
                time += pause.seconds
        return time

    @property
    def pause_share(self) -> float:
        return min(PAUSE_SHARE, MAX_PAUSES_SHARE / max(len(self.pauses), 1))


def _nice(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5, 10, 20 … of any power of ten that is not below."""
    power = 10.0**-3
    while True:
        for digit in NICE:
            if digit * power >= least:
                return digit * power
        power *= 10


def duration(seconds: float) -> str:
    """Return a time to the precision at which people compare it."""
    if seconds < 0.9995:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def draw_scale(axis: Axis) -> str:
    """Return the markup of the axis, to stand above its bars."""
    numbers = [_number(axis, busy, place) for busy, place in _spaced(axis) if place < 94]
    root = _row("timeline-scale", SCALE_HEIGHT)
    root.extend([*numbers, *_pauses(axis, SCALE_HEIGHT)])
    return markup(root)


def _spaced(axis: Axis) -> list[tuple[float, float]]:
    """Return the ticks whose numbers do not touch each other on a narrow axis."""
    ticks = axis.ticks
    widest = max((len(_label(axis, busy)) for busy, _ in ticks), default=0) * LETTER + LETTER
    apart = ticks[1][1] - ticks[0][1] if len(ticks) > 1 else 100.0
    return ticks[:: 1 if apart * NARROW / 100 >= widest else 2]


def _label(axis: Axis, busy: float) -> str:
    if not busy:
        return "0"
    return f"{busy * 1000:g} ms" if axis.busy < 1 else f"{busy:g} s"


def _number(axis: Axis, busy: float, place: float) -> Element:
    anchor = "start" if place < 4 else "middle"
    attributes = {"class": "tick-label", "x": _percent(place), "y": 13, "text_anchor": anchor}
    return element("text", attributes, _label(axis, busy))


def draw_bar(axis: Axis, span: Span, *, told: str = "") -> str:
    """Return the markup of one bar; ``told`` is what a pointer that rests on it is told."""
    root = _row("timeline-bar", BAR_HEIGHT)
    root.append(element("title", {}, told))
    if len(axis.spans) <= MAX_GRID:
        root.extend(_line("tick", place) for _, place in axis.ticks[1:])
    root.extend(_pauses(axis, BAR_HEIGHT))
    root.extend(_bar(axis, span))
    return markup(root)


def _bar(axis: Axis, span: Span) -> list[Element]:
    begin, end = axis.place(span.start), axis.place(span.end)
    end = max(end, begin + LEAST_BAR)
    if end > 100.0:
        begin, end = begin - (end - 100.0), 100.0
    states = {"is-failed": span.is_failed, "is-running": span.is_running}
    state = "".join(f" {name}" for name, holds in states.items() if holds)
    whole = "bar-text" if span.is_running and span.gives_text else "bar-whole"
    places, parts = [begin, end], [f"{whole}{state}"]
    if span.first is not None:
        first = min(max(axis.place(span.first), begin), end)
        places, parts = [begin, first, end], [f"bar-wait{state}", f"bar-text{state}"]
    drawn = [
        element(
            "rect",
            {"class": name, "x": _percent(x), "width": _percent(to - x), "y": 7, "height": 10,
             "rx": 2},
        )
        for name, (x, to) in zip(parts, pairwise(places), strict=True)
    ]  # fmt: skip
    if span.first is not None:
        drawn.append(_line("bar-first", places[1], top=3, bottom=21))
    if span.is_failed:
        x = _percent(min(end, 98.5))
        drawn.append(element("text", {"class": "bar-cross", "x": x, "y": 17}, "×"))
    return drawn


def _pauses(axis: Axis, height: int) -> list[Element]:
    share = axis.pause_share
    return [
        element(
            "rect",
            {"class": "pause", "x": _percent(axis.place(pause.end) - share),
             "width": _percent(share), "height": height},
        )
        for pause in axis.pauses
    ]  # fmt: skip


def _row(name: str, height: int) -> Element:
    attributes: dict[str, object] = {"class": name, "width": "100%", "height": height}
    # What it shows stands in words beside it.
    return element("svg", {**attributes, "aria_hidden": "true", "focusable": "false"})


def _line(name: str, place: float, *, top: int = 0, bottom: int = BAR_HEIGHT) -> Element:
    x = _percent(place)
    return element("line", {"class": name, "x1": x, "x2": x, "y1": top, "y2": bottom})


def _percent(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"

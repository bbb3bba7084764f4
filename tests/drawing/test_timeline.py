from itertools import pairwise
from xml.etree import ElementTree

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.drawing.timeline import Axis, Span, draw_bar, draw_scale, duration

times = st.floats(0, 10_000, allow_nan=False)


@st.composite
def spans(draw):
    start = draw(times)
    end = start + draw(st.floats(0, 100))
    first = draw(st.none() | st.floats(start, end))
    return Span(start=start, end=end, first=first, is_failed=draw(st.booleans()))


class AxisTests(SimpleTestCase):
    @given(st.lists(spans(), min_size=1, max_size=12))
    def test_times_keep_their_order_and_fill_the_axis(self, some) -> None:
        axis = Axis(some)
        moments = sorted({time for span in some for time in (span.start, span.end)})
        places = [axis.place(time) for time in moments]
        assert all(0 <= place <= 100 for place in places)
        assert all(one <= other + 1e-6 for one, other in pairwise(places))
        assert places[0] == 0
        if axis.busy > 0.01:
            assert places[-1] > 99.99

    def test_pauses_are_cut(self) -> None:
        axis = Axis([Span(start=0, end=1), Span(start=61, end=62), Span(start=62.5, end=63)])
        assert [pause.seconds for pause in axis.pauses] == [60]
        assert axis.busy == 3.0
        assert axis.place(61) - axis.place(1) == axis.pause_share
        assert 0 < axis.place(1) < 40

    def test_spans_at_the_same_time_leave_no_pause_between_them(self) -> None:
        axis = Axis([Span(start=0, end=10), Span(start=1, end=2), Span(start=9, end=11)])
        assert axis.pauses == []

    @given(st.lists(spans(), min_size=1, max_size=12))
    def test_ticks_are_few_round_and_in_order(self, some) -> None:
        ticks = Axis(some).ticks
        assert 1 <= len(ticks) <= 6
        assert [place for _, place in ticks] == sorted(place for _, place in ticks)

    def test_many_pauses_leave_room_for_what_happened(self) -> None:
        axis = Axis([Span(start=10.0 * n, end=10.0 * n + 1) for n in range(100)])
        assert axis.pause_share * len(axis.pauses) <= 30.0001


class MarkupTests(SimpleTestCase):
    def bar(self, span: Span, *others: Span) -> ElementTree.Element:
        return ElementTree.fromstring(draw_bar(Axis([span, *others]), span, told="at <noon>"))

    def test_the_wait_for_the_first_token_and_the_text_are_two_parts(self) -> None:
        root = self.bar(Span(start=0, end=4, first=1))
        parts = {r.get("class"): r for r in root.iter("rect")}
        assert parts["bar-wait"].get("width") == "25%"
        assert parts["bar-text"].get("x") == "25%"
        assert [line.get("x1") for line in root.iter("line") if line.get("class") == "bar-first"]
        assert root.find("title").text == "at <noon>"  # type: ignore[union-attr]

    def test_a_failed_one_is_marked_by_more_than_colour(self) -> None:
        root = self.bar(Span(start=0, end=4, is_failed=True))
        assert [text.text for text in root.iter("text")] == ["×"]

    def test_what_gives_text_is_drawn_so_while_it_runs(self) -> None:
        (bar,) = self.bar(Span(start=0, end=4, is_running=True, gives_text=True)).iter("rect")
        assert bar.get("class") == "bar-text is-running"

    def test_a_very_short_one_is_still_seen(self) -> None:
        root = self.bar(Span(start=100, end=100), Span(start=0, end=100))
        (bar,) = root.iter("rect")
        assert float(bar.get("width", "").rstrip("%")) > 0.1
        assert float(bar.get("x", "").rstrip("%")) < 100

    def test_pauses_are_marked_in_the_scale_and_behind_the_bars(self) -> None:
        axis = Axis([Span(start=0, end=1), Span(start=61, end=62)])
        for markup in (draw_scale(axis), draw_bar(axis, axis.spans[0])):
            root = ElementTree.fromstring(markup)
            assert len([r for r in root.iter("rect") if r.get("class") == "pause"]) == 1

    def test_the_scale_says_its_unit(self) -> None:
        def labels(end: float) -> list[str | None]:
            root = ElementTree.fromstring(draw_scale(Axis([Span(start=0, end=end)])))
            return [text.text for text in root.iter("text")]

        assert labels(0.5) == ["0", "200 ms", "400 ms"]
        assert labels(0.19) == ["0", "100 ms"]  # 50 ms would touch its neighbours.
        assert labels(9.0) == ["0", "2.5 s", "5 s", "7.5 s"]

    def test_durations_read_as_people_compare_them(self) -> None:
        seconds = (0, 0.0004, 0.25, 0.9999, 1.234, 12.34, 59.96, 75, 3700)
        assert [duration(s) for s in seconds] == [
            "0 ms", "0 ms", "250 ms", "1.00 s", "1.23 s", "12.3 s", "1 min 0 s", "1 min 15 s",
            "1 h 1 min",
        ]  # fmt: skip

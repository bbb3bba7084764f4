from xml.etree import ElementTree

from django.test import SimpleTestCase
from hypothesis import given
from hypothesis import strategies as st

from chat.drawing.charts import (
    Series,
    Words,
    draw_bars,
    draw_columns,
    draw_lines,
    draw_shares,
    scale,
)

WORDS = Words(id="x", title="Tokens <by> day", description="Said & done")
values = st.lists(st.floats(0, 1e12, allow_nan=False), min_size=3, max_size=3)


def parts(markup, tag):
    return list(ElementTree.fromstring(markup).iter(tag))


class ChartTests(SimpleTestCase):
    @given(st.floats(0, 1e15, allow_nan=False))
    def test_a_scale_holds_its_values_and_wastes_little(self, most):
        ticks = scale(most)
        assert ticks[0] == 0
        assert ticks[-1] >= most
        assert most < 1e-6 or ticks[-1] <= most * 2.6

    @given(values, values)
    def test_columns_stand_on_each_other_within_the_picture(self, one, other):
        labels = ["Mo", "Tu", "We"]
        drawn = parts(draw_columns(labels, [Series("a", one), Series("b", other)], WORDS), "rect")
        assert len(drawn) == sum(value > 0 for value in (*one, *other))
        for rect in drawn:
            top, height = float(rect.get("y")), float(rect.get("height"))
            assert top >= 11.9
            assert height >= 0
            assert top + height <= 196.2

    def test_shares_fill_a_bar_and_the_first_one_is_told(self):
        drawn = draw_shares(["tea", "none"], [Series("a", [1, 0]), Series("b", [3, 0])], WORDS)
        bars = [(rect.get("x"), rect.get("width")) for rect in parts(drawn, "rect")]
        assert bars == [("0%", "25%"), ("25%", "75%")]
        texts = [text.text for text in parts(drawn, "text")]
        assert texts == ["tea", "25 %", "none", "0 %"]

    def test_lines_break_where_nothing_is_known(self):
        drawn = draw_lines(list("abcd"), [Series("p50", [1, 2, None, 3])], WORDS)
        lines = [line for line in parts(drawn, "line") if "chart-line" in line.get("class")]
        assert len(lines) == 1
        assert len(parts(drawn, "circle")) == 3

    def test_each_chart_is_named_and_described_and_shows_what_it_was_given(self):
        for drawn in (
            draw_columns(["d"], [Series("<m>", [5])], WORDS),
            draw_lines(["d"], [Series("<m>", [5])], WORDS),
            draw_bars(["<m>"], [5], WORDS),
            draw_shares(["d"], [Series("<m>", [5])], WORDS),
        ):
            root = ElementTree.fromstring(drawn)
            assert root.get("role") == "img"
            assert root.find("title").text == "Tokens <by> day"
            assert root.find("desc").text == "Said & done"
            assert root.get("aria-labelledby") == root.find("title").get("id")
            assert any("<m>: 5" in title.text for title in root.iter("title"))
            assert "style" not in drawn

    def test_nothing_can_be_drawn(self):
        for drawn in (
            draw_columns([], [], WORDS),
            draw_lines([], [], WORDS),
            draw_bars([], [], WORDS),
            draw_shares([], [Series("a", [])], WORDS),
        ):
            assert parts(drawn, "rect") == []

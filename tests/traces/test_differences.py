import json

from django.test import SimpleTestCase
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.traces.differences import Change, Kind, compare, is_same
from chat.traces.trees import MAX_ENTRIES, draw_difference, draw_value

names = st.text(max_size=2)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(names, values, max_size=5)


def applied(before, changes: list[Change]):
    """Return what a value becomes by the changes that are told of it."""
    entries = []
    for change in changes:
        if change.kind is Kind.WITHIN:
            entries.append((change.key, applied(change.before, list(change.parts))))
        elif change.kind is not Kind.REMOVED:
            entries.append((change.key, change.after))
    return dict(entries) if isinstance(before, dict) else [value for _, value in entries]


def removed(changes: list[Change]) -> list:
    return [change.key for change in changes if change.kind is Kind.REMOVED]


class CompareTests(SimpleTestCase):
    @settings(max_examples=50)
    @given(objects, objects)
    def test_the_changes_lead_from_one_value_to_the_other(self, before, after) -> None:
        changes = compare(before, after)
        assert is_same(applied(before, changes), after)
        assert {c.key for c in changes} == {*before, *after}
        assert removed(changes) == [key for key in before if key not in after]

    @settings(max_examples=50)
    @given(st.lists(values, max_size=6), st.lists(values, max_size=6))
    def test_so_they_do_for_lists(self, before, after) -> None:
        changes = compare(before, after)
        assert is_same(applied(before, changes), after)
        assert len(before) == sum(change.kind is not Kind.ADDED for change in changes)

    @settings(max_examples=50)
    @given(objects)
    def test_nothing_is_told_of_what_is_the_same(self, value) -> None:
        copy = json.loads(json.dumps(value))
        assert all(change.kind is Kind.SAME for change in compare(value, copy))

    def test_what_is_appended_is_all_that_is_added(self) -> None:
        (change,) = compare({"history": [1, 2]}, {"history": [1, 2, 3]})
        assert change.kind is Kind.WITHIN
        assert [part.kind for part in change.parts] == [Kind.SAME, Kind.SAME, Kind.ADDED]

    def test_what_is_cut_at_the_beginning_is_all_that_is_removed(self) -> None:
        changes = compare([1, 2, 3], [2, 3])
        assert [change.kind for change in changes] == [Kind.REMOVED, Kind.SAME, Kind.SAME]

    def test_true_is_not_one(self) -> None:
        assert not is_same({"a": [True]}, {"a": [1]})
        assert is_same(1, 1.0)


class TreeTests(SimpleTestCase):
    def test_a_difference_is_told_by_words_and_signs(self) -> None:
        html = draw_difference({"a": 1, "b": 2, "same": 0}, {"b": 3, "c": 4, "same": 0})
        for word, sign in (("added", "+"), ("removed", "−"), ("changed", "~"), ("unchanged", "=")):
            assert word in html
            assert f'aria-hidden="true">{sign}<' in html
        assert html.index("was") < html.index("is</span>")

    def test_whatever_it_holds_is_text(self) -> None:
        hostile = {"<script>": "</span><img src=x onerror=alert(1)>\n" * 9}
        for html in (
            draw_value(hostile),
            draw_difference({}, hostile),
            draw_difference(hostile, {}),
        ):
            assert "<script" not in html
            assert "<img" not in html

    @settings(max_examples=50)
    @given(values)
    def test_any_value_can_be_drawn(self, value) -> None:
        assert draw_value(value)
        assert draw_difference({"a": value}, {"b": value})

    def test_large_values_do_not_make_large_pages(self) -> None:
        wide = {str(number): number for number in range(10 * MAX_ENTRIES)}
        deep = {"list": [[list(range(40)) for _ in range(40)] for _ in range(40)]}
        long = {"text": "x" * 1_000_000}
        for value in (wide, deep, long):
            for html in (draw_value(value), draw_difference({}, value)):
                assert len(html) < 400_000
                assert " more " in html

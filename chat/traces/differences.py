"""What differs between two values of JSON; pure functions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"  # Another value stands there.
    WITHIN = "within"  # Both are objects, or both are lists, and something in them differs.


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one entry. ``parts`` are those of its own entries, if ``WITHIN``."""

    key: str | int
    kind: Kind
    before: Any = None
    after: Any = None
    parts: tuple["Change", ...] = ()


def compare(before: Any, after: Any) -> list[Change]:
    """Return what became of each entry of an object or a list, in the order of the later one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _compare_objects(before, after)
    if _is_list(before) and _is_list(after):
        return _compare_lists(before, after)
    return [_changed("", before, after)]


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: true is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if _is_list(one) and _is_list(other):
        return len(one) == len(other) and all(map(is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _changed(key: str | int, before: Any, after: Any) -> Change:
    if is_same(before, after):
        return Change(key=key, kind=Kind.SAME, before=before, after=after)
    both = (before, after)
    if all(isinstance(value, Mapping) for value in both) or all(map(_is_list, both)):
        parts = tuple(compare(before, after))
        return Change(key=key, kind=Kind.WITHIN, before=before, after=after, parts=parts)
    return Change(key=key, kind=Kind.CHANGED, before=before, after=after)


def _compare_objects(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    changes = [
        _changed(key, before[key], value)
        if key in before
        else Change(key=key, kind=Kind.ADDED, after=value)
        for key, value in after.items()
    ]
    gone = [key for key in before if key not in after]
    return changes + [Change(key=key, kind=Kind.REMOVED, before=before[key]) for key in gone]


def _compare_lists(before: Sequence[Any], after: Sequence[Any]) -> list[Change]:
    # What is alike at the beginning and at the end stayed; what is between was replaced.
    # Histories grow at their end, and are cut at their beginning.
    start = 0
    least = min(len(before), len(after))
    while start < least and is_same(before[start], after[start]):
        start += 1
    rest = 0
    while rest < least - start and is_same(before[-1 - rest], after[-1 - rest]):
        rest += 1
    old, new = before[start : len(before) - rest], after[start : len(after) - rest]
    changes = [
        Change(key=i, kind=Kind.SAME, before=before[i], after=after[i]) for i in range(start)
    ]
    for place in range(max(len(old), len(new))):
        key = start + place
        if place >= len(old):
            changes.append(Change(key=key, kind=Kind.ADDED, after=new[place]))
        elif place >= len(new):
            changes.append(Change(key=key, kind=Kind.REMOVED, before=old[place]))
        else:
            changes.append(_changed(key, old[place], new[place]))
    for place in range(len(after) - rest, len(after)):
        value = after[place]
        changes.append(Change(key=place, kind=Kind.SAME, before=value, after=value))
    return changes

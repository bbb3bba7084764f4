"""Values of JSON as HTML that folds by itself, and as what differs between two of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from chat.traces.differences import Change, Kind, compare

OPEN_DEPTH = 2  # What lies deeper is folded.
MAX_ENTRIES = 300  # Of one object or list.
MAX_VALUES = 3000  # Of one tree; the raw JSON has all.
MAX_TEXT = 4000
ONE_LINE = 60  # A longer string stands in lines of its own.


def draw_value(value: Any) -> SafeString:
    """Return a value as a tree."""
    return _Drawing().value(value, depth=0)


def draw_difference(before: Any, after: Any) -> SafeString:
    """Return what became of each entry, told by words and signs; what stayed is folded."""
    return _Drawing().changes(compare(before, after))


class _Drawing:
    """One tree, which ends where it would be too large for a page."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def value(self, value: Any, *, depth: int) -> SafeString:
        self._left -= 1
        if isinstance(value, Mapping):
            return self._entries(value.items(), len(value), depth=depth)
        if isinstance(value, Sequence) and not isinstance(value, str):
            return self._entries(enumerate(value), len(value), depth=depth)
        return _scalar(value)

    def _entries(self, entries: Iterable[tuple[Any, Any]], count: int, *, depth: int) -> SafeString:
        drawn: list[SafeString] = []
        for place, (key, value) in enumerate(entries):
            if place == MAX_ENTRIES or self._left <= 0:
                drawn.append(_left_out(count - place))
                break
            drawn.append(format_html("<li>{}</li>", self._entry(key, value, depth=depth)))
        if not drawn:
            return format_html('<span class="json-empty">{}</span>', _("empty"))
        return format_html('<ul class="json">{}</ul>', _joined(drawn))

    def _entry(self, key: Any, value: Any, *, depth: int) -> SafeString:
        if not (_is_container(value) and value):
            return format_html("{} {}", _key(key), self.value(value, depth=depth))
        opened = mark_safe(" open") if depth < OPEN_DEPTH else ""
        return format_html(
            "<details{}><summary>{} {}</summary>{}</details>",
            opened,
            _key(key),
            _size(value),
            self.value(value, depth=depth + 1),
        )

    def changes(self, changes: Sequence[Change]) -> SafeString:
        same = [change for change in changes if change.kind is Kind.SAME]
        told = [change for change in changes if change.kind is not Kind.SAME]
        drawn = [self._change(change) for change in told[:MAX_ENTRIES]]
        if len(told) > MAX_ENTRIES:
            drawn.append(_left_out(len(told) - MAX_ENTRIES))
        if same:
            drawn.append(self._unchanged(same, is_all=not told))
        return format_html('<ul class="json difference">{}</ul>', _joined(drawn))

    def _unchanged(self, same: Sequence[Change], *, is_all: bool) -> SafeString:
        names = ", ".join(_name(change.key) for change in same[:8])
        count = ngettext("%(count)d unchanged:", "%(count)d unchanged:", len(same))
        entries = ((change.key, change.after) for change in same)
        return format_html(
            '<li class="is-same">{}<details><summary>{} <span class="json-size">{}</span>'
            "</summary>{}</details></li>",
            _mark("="),
            _("Nothing changed.") if is_all else count % {"count": len(same)},
            f"{names} …" if len(same) > 8 else names,
            self._entries(entries, len(same), depth=OPEN_DEPTH),
        )

    def _change(self, change: Change) -> SafeString:
        if change.kind is Kind.WITHIN:
            return format_html(
                '<li class="is-within">{}<details open><summary>{} <span class="json-size">{}'
                "</span></summary>{}</details></li>",
                _mark("~"),
                _key(change.key),
                _("changed within"),
                self.changes(change.parts),
            )
        if change.kind is Kind.CHANGED:
            return format_html(
                '<li class="is-changed">{}{} <span class="json-word">{}</span>'
                '<div class="json-was"><span class="json-word">{}</span> {}</div>'
                '<div class="json-now"><span class="json-word">{}</span> {}</div></li>',
                _mark("~"),
                _key(change.key),
                _("changed"),
                _("was"),
                self.value(change.before, depth=1),
                _("is"),
                self.value(change.after, depth=1),
            )
        is_added = change.kind is Kind.ADDED
        return format_html(
            '<li class="is-{}">{}<span class="json-word">{}</span> {}</li>',
            change.kind,
            _mark("+" if is_added else "−"),
            _("added") if is_added else _("removed"),
            self._entry(change.key, change.after if is_added else change.before, depth=1),
        )


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, Sequence) and not isinstance(value, str)
    )


def _key(key: Any) -> SafeString:
    return format_html('<span class="json-key">{}</span>', _name(key))


def _name(key: Any) -> str:
    return f"[{key}]" if isinstance(key, int) else str(key)


def _mark(sign: str) -> SafeString:
    # A word beside it says the same.
    return format_html('<span class="json-mark" aria-hidden="true">{}</span>', sign)


def _size(value: Mapping[Any, Any] | Sequence[Any]) -> SafeString:
    text = ngettext("%(count)d entry", "%(count)d entries", len(value)) % {"count": len(value)}
    return format_html('<span class="json-size">{}</span>', text)


def _scalar(value: Any) -> SafeString:
    if not isinstance(value, str):
        name = "json-null" if value is None else "json-plain"
        return format_html('<span class="{}">{}</span>', name, json.dumps(value))
    if len(value) <= ONE_LINE and "\n" not in value:
        text = json.dumps(value, ensure_ascii=False)
        return format_html('<span class="json-string">{}</span>', text)
    rest = len(value) - MAX_TEXT
    more = ""
    if rest > 0:
        more = format_html('<span class="json-size">{}</span>', _more_characters(rest))
    return format_html(
        '<div class="json-string json-text" tabindex="0" dir="auto">{}{}</div>',
        value[:MAX_TEXT],
        more,
    )


def _more_characters(count: int) -> str:
    text = ngettext(" … %(count)d more character", " … %(count)d more characters", count)
    return text % {"count": count}


def _left_out(count: int) -> SafeString:
    text = ngettext("… %(count)d more entry", "… %(count)d more entries", count)
    return format_html('<li class="json-size">{}</li>', text % {"count": count})

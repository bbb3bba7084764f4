"""Tags and filters of the trace page."""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from chat.models import Generation
from chat.templatetags.chat_page import icon
from chat.traces.rows import Row

register = template.Library()

ICONS = {
    "done": "check",
    "failed": "alert",
    "interrupted": "alert",
    "stopped": "stop",
    "queued": "clock",
    "started": "spin",
    "running": "spin",
}


@register.simple_tag
def status_mark(status: str, label: str) -> SafeString:
    """Return a status as a picture and a word; where room is short, the word is for readers."""
    return format_html(
        '<span class="status status-{}">{}<span class="status-word">{}</span></span>',
        status,
        icon(ICONS.get(status, "alert")),
        label,
    )


@register.simple_tag
def kind_chip(kind: str) -> SafeString:
    label = _("streaming") if kind == "stream" else _("action")
    return format_html('<span class="kind kind-{}">{}</span>', kind, label)


@register.filter
def offset(row: Row, generation: Generation) -> int:
    """Return when a step began, in milliseconds of its answer."""
    return _offset(row.started_at, generation)


@register.filter
def end_offset(row: Row, generation: Generation) -> int | str:
    """Return when a step ended; empty while it runs."""
    return _offset(row.ended_at, generation) if row.ended_at else ""


def _offset(moment: datetime, generation: Generation) -> int:
    begin = generation.started_at or generation.created_at
    return round((moment - begin).total_seconds() * 1000)

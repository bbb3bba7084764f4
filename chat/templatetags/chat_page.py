"""Tags and filters of the chat's own pages."""

import json
from datetime import date, timedelta
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from chat import language
from chat import markdown as markdown_renderer
from chat.assets import asset_path
from chat.models import Conversation, Generation, Message

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """Return a model's Markdown as safe HTML."""
    return markdown_renderer.render(text)


@register.simple_tag
def asset(name: str) -> str:
    """Return the address of a script or style sheet of the chat, bundled if it has been built."""
    return static(asset_path(name))


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return one picture of the icon sheet, hidden from screen readers."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        static("chat/icons.svg"),
        name,
    )


@register.simple_tag
def words() -> SafeString:
    """Return what scripts say in the language of the page, as data; English needs none."""
    catalog = language.words()
    return json_script(catalog, "words") if catalog else SafeString("")


@register.filter
def told(error: dict[str, Any] | None) -> str:
    """Return the message of an error in the language of the page."""
    return language.tell(error)


@register.filter
def as_json(value: Any) -> str:
    return json.dumps(value)


@register.filter
def date_group(conversation: Conversation) -> str:
    """Return the heading of the sidebar under which a conversation stands."""
    day = timezone.localdate(conversation.updated_at)
    today = timezone.localdate()
    if day >= today:
        return _("Today")
    if day == today - timedelta(days=1):
        return _("Yesterday")
    if day > today - timedelta(days=7):
        return _("Previous 7 days")
    if day > today - timedelta(days=30):
        return _("Previous 30 days")
    return date_heading(day)


def date_heading(day: date) -> str:
    from django.utils.formats import date_format

    return date_format(day, "YEAR_MONTH_FORMAT")


@register.filter
def seconds(generation: Generation) -> str:
    """Return how long an answer took, such as ``3.2 s``; empty while it is unknown."""
    return _span(generation, "started_at", "ended_at")


@register.filter
def first_token(generation: Generation) -> str:
    """Return how long the first token took; empty if none came."""
    return _span(generation, "started_at", "first_delta_at")


def _span(generation: Generation, start: str, end: str) -> str:
    begun, ended = getattr(generation, start), getattr(generation, end)
    if not begun or not ended:
        return ""
    return duration((ended - begun).total_seconds())


def duration(total: float) -> str:
    """Return a time as a person reads it; main.js writes the running clock the same way."""
    total = max(total, 0.0)
    if total < 9.95:
        return f"{total:.1f} s"
    minutes, rest = divmod(round(total), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@register.filter
def thought(message: Message) -> str:
    """Return the title of an answer's reasoning; answer.js says the same while it is written."""
    thought_ms: int | None = getattr(message, "thought_ms", None)
    if thought_ms is None:
        return _("Thoughts")
    return _("Thought for %(time)s") % {"time": duration(thought_ms / 1000)}


@register.filter
def tokens(generation: Generation) -> int | None:
    """Return how many tokens the provider counted in the answer, if it said so."""
    usage = generation.usage if isinstance(generation.usage, dict) else {}
    count = usage.get("completion_tokens", usage.get("output_tokens"))
    return count if isinstance(count, int) else None


@register.filter
def age_ms(generation: Generation) -> int:
    """Return for how long an answer has been running, so that its clock survives a reload."""
    begun = generation.started_at or generation.created_at
    return max(0, int((timezone.now() - begun).total_seconds() * 1000))

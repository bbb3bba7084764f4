"""For pages of a project around the chat: ``{% load chat %}``."""

from typing import Any
from uuid import UUID

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from chat.templatetags.chat_page import asset

register = template.Library()


@register.simple_tag
def chat_head() -> SafeString:
    """Return what the head of a page must hold to look like the chat: for a `chat/base.html`."""
    return format_html(
        '<script src="{}"></script>\n<link rel="stylesheet" href="{}">',
        asset("theme.js"),
        asset("base.css"),
    )


@register.inclusion_tag("chat/_embed.html", takes_context=True)
def chat_embed(
    context: Context, *, conversation: Any = None, model: str = "", **extra: Any
) -> dict[str, Any]:
    """
    Show a chat of the signed-in user, or a link to sign in.

    Without a ``conversation`` (or its id) each load of the page begins a new
    one, with the ``model`` named. ``class`` is added to the
    panel's; ``chat-embed-short`` and ``chat-embed-tall`` change its height.
    """
    unknown = extra.keys() - {"class"}
    if unknown:
        raise template.TemplateSyntaxError(f"chat_embed knows no {', '.join(sorted(unknown))}.")
    request = getattr(context, "request", None) or context.get("request")
    user = getattr(request, "user", None)
    found: dict[str, Any] = {"class": extra.get("class", ""), "number": _number(request)}
    found |= {"whole": reverse("chat:home"), "address": ""}
    key = _key(conversation)
    if key:
        found["whole"] = reverse("chat:conversation", args=[key])
    if user is not None and user.is_authenticated:
        address = reverse("chat:embed_conversation", args=[key]) if key else reverse("chat:embed")
        found["address"] = f"{address}?{urlencode({'model': model})}" if model else address
    return found


def _number(request: Any) -> int:
    """Return which chat of the page this is, from 1: so it is told from the others."""
    number: int = getattr(request, "chat_embeds", 0) + 1
    if request is not None:
        request.chat_embeds = number
    return number


def _key(thing: Any) -> UUID | str:
    key: UUID | str = getattr(thing, "pk", thing) or ""
    return key

"""The list of conversations beside every chat, and the words that the page's script needs."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _

from chat.models import Conversation
from chat.models.search import MAX_LENGTH
from chat.text import clean_text
from chat.views.conversations import add_snippets, listed, place_of

ROWS = 60
MAX_PINNED = 100


def sidebar(request: HttpRequest) -> dict[str, Any]:
    """Return the pinned and the newest conversations, or those that are searched for."""
    query = clean_text(request.GET.get("q", ""))[:MAX_LENGTH].strip()
    tag = clean_text(request.GET.get("tag", ""))[:MAX_LENGTH]
    rows = listed(request.user, text=query, tag=tag)
    pinned = []
    if not query:
        on_top = rows.pinned().order_by("-pinned_at", "-id")
        pinned = list(on_top[:MAX_PINNED])
        rows = rows.pinned(False)
    found = list(rows[: ROWS + 1])
    if query and found:
        add_snippets(found, query)
    return {
        "conversations": found[:ROWS],
        "pinned": pinned,
        "next_conversations": place_of(found[ROWS - 1]) if len(found) > ROWS else "",
        "query": query,
        "tag": tag,
        "tags": Conversation.objects.owned_by(request.user).listed().tags(),
        "deleted": _deleted(request),
    }


def _deleted(request: HttpRequest) -> Conversation | None:
    """Return what was deleted a moment ago by a form, to be offered back."""
    try:
        deleted = UUID(request.GET.get("deleted", ""))
    except ValueError:
        return None
    return Conversation.objects.restorable_by(request.user).filter(pk=deleted).first()


def groups() -> list[str]:
    """Return the headings of the list that do not name a month."""
    return [_("Today"), _("Yesterday"), _("Previous 7 days"), _("Previous 30 days")]

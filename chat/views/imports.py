"""Exports that come back, through the API or a form."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from chat.errors import BadRequest
from chat.generations import notify_conversation
from chat.transfer.importing import Outcome, import_item
from chat.views.conversations import news

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

MAX_NEWS = 20  # A list that hears of more is read again sooner than told all of it.
MAX_SHOWN = 10


async def import_all(user: "AbstractBaseUser", items: Sequence[Any]) -> dict[str, Any]:
    """Bring each of the items in by itself, and report what became of it."""
    outcomes = [await import_item(user, item) for item in items]
    new = [each.conversation for each in outcomes if each.is_new and each.conversation]
    for conversation in new[:MAX_NEWS]:
        await notify_conversation(user.pk, conversation.pk, "created", **news(conversation))
    count = [outcome.status for outcome in outcomes].count
    return {
        **{status: count(status) for status in ("imported", "already", "failed")},
        "skipped": sum(outcome.skipped for outcome in outcomes),
        "items": [_as_item(number, outcome) for number, outcome in enumerate(outcomes)],
    }


def _as_item(index: int, outcome: Outcome) -> dict[str, Any]:
    return {
        "index": index,
        "title": outcome.title,
        "status": outcome.status,
        "conversation": outcome.conversation and outcome.conversation.pk,
        "messages": outcome.messages,
        "skipped": outcome.skipped,
        "error": outcome.error and outcome.error.as_dict(),
    }


@login_required
@require_POST
async def import_file(request: HttpRequest) -> HttpResponse:
    """Take a file that was chosen in a form, and say on the account page what became of it."""
    user = cast("AbstractBaseUser", await request.auser())
    file = request.FILES.get("file")
    try:
        report = await import_all(user, _items_of(file.read() if file else b""))
    except BadRequest as exc:
        messages.error(request, str(exc))
        return redirect("chat:account")
    for line in _told(report):
        messages.info(request, line)
    return redirect("chat:account")


def _items_of(file: bytes) -> list[Any]:
    """Return the conversations in a file: a list of them, or an object that has such a list."""
    try:
        content = json.loads(file)
    except (ValueError, RecursionError):
        raise BadRequest(_("Choose a JSON file: an export of this site or of ChatGPT.")) from None
    items = content.get("conversations") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise BadRequest(_("There are no conversations in this file."))
    return items


def _told(report: dict[str, Any]) -> list[str]:
    """Return what people are told of a report, line by line."""
    count = report["imported"]
    lines = [
        ngettext("%(n)d conversation was imported.", "%(n)d conversations were imported.", count)
        % {"n": count}
    ]
    if report["already"]:
        lines.append(_("%(n)d were here already.") % {"n": report["already"]})
    if report["skipped"]:
        lines.append(_("%(n)d parts that are no text were left out.") % {"n": report["skipped"]})
    failed = [item for item in report["items"] if item["error"]]
    for item in failed[:MAX_SHOWN]:
        title = item["title"] or _("number %(n)d") % {"n": item["index"] + 1}
        lines.append(f"{title}: {item['error']['message']}")
    if len(failed) > MAX_SHOWN:
        lines.append(_("%(n)d more failed.") % {"n": len(failed) - MAX_SHOWN})
    return lines

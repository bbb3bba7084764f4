"""What is being answered now, by whom, how fast; and the brake."""

from asyncio import gather
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from chat.admin.stops import stop_all
from chat.errors import ChatError
from chat.eventlog import event_log
from chat.events import EventKind
from chat.generations.end import text_of
from chat.generations.usage import tokens_of
from chat.models import Generation, Worker

ROWS = 50  # At most so many are looked at, the oldest first.


@dataclass(frozen=True)
class Row:
    """A generation that has not ended, as it is now."""

    generation: Generation
    worker: str
    written: int  # Characters.
    now: datetime

    @property
    def age(self) -> float:
        return (self.now - self.generation.created_at).total_seconds()

    @cached_property
    def tokens(self) -> int:
        """Return what is written, by estimate: models count at the end."""
        return tokens_of(self.written)

    @property
    def tokens_per_second(self) -> float | None:
        """Return the rate since the start: of the first token one hears only at the end."""
        started = self.generation.started_at
        seconds = (self.now - started).total_seconds() if started else 0.0
        return self.tokens / seconds if seconds > 0 and self.tokens else None


def running_page(request: HttpRequest, model_admin: "ModelAdmin[Generation]") -> HttpResponse:
    """Show what runs and waits; stop one of them on a POST."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    may_stop = model_admin.has_stop_permission(request)  # type: ignore[attr-defined]
    if request.method == "POST":
        if not may_stop:
            raise PermissionDenied
        _stop_one(request, model_admin)
        return redirect("admin:chat_generation_running")
    active = Generation.objects.active()
    context = {
        **admin.site.each_context(request),
        "title": _("Running now"),
        "opts": Generation._meta,
        "rows": rows_of(active.select_related("owner", "conversation").order_by("pk")[:ROWS]),
        "total": active.count(),
        "may_stop": may_stop,
    }
    response = TemplateResponse(request, "admin/chat/generation/running.html", context)
    response["Cache-Control"] = "no-store"
    return response


def rows_of(generations: Iterable[Generation]) -> list[Row]:
    """Return generations with who writes them, and how much is written."""
    generations = list(generations)
    names = dict(Worker.objects.values_list("pk", "name"))
    ids = [each.pk for each in generations if each.status == Generation.Status.RUNNING]
    written = dict(zip(ids, async_to_sync(_written)(ids), strict=True))
    now = timezone.now()
    return [
        Row(each, names.get(each.worker, "") if each.worker else "", written.get(each.pk, 0), now)
        for each in generations
    ]


async def _written(generation_ids: Sequence[UUID]) -> list[int]:
    return await gather(*map(_length, generation_ids))


async def _length(generation_id: UUID) -> int:
    try:
        events = await event_log().read(generation_id, after=0, block=0)
    except ChatError:
        return 0  # It ended this moment, or its log is away: the next look will tell.
    return sum(len(text_of(events, kind)) for kind in (EventKind.DELTA, EventKind.REASONING))


def _stop_one(request: HttpRequest, model_admin: "ModelAdmin[Generation]") -> None:
    try:
        pk = UUID(request.POST.get("generation", ""))
    except ValueError:
        pk = UUID(int=0)
    stopped, failures = stop_all(Generation.objects.active().filter(pk=pk))
    for generation in stopped:
        model_admin.log_change(request, generation, _("Stopped."))
        messages.success(request, _("The generation was stopped."))
    for failure in failures:
        messages.error(request, str(failure))
    if not stopped and not failures:
        messages.warning(request, _("It has ended by itself."))

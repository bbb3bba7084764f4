"""Generations: what runs now, how long answers took, and the brake."""

from functools import partial

from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.timesince import timesince
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from chat.admin.base import HistoryAdmin, link, username_of
from chat.admin.running import running_page
from chat.admin.stops import rerun_all, stop_all
from chat.models import Generation, GenerationQuerySet

RERUNS = 20  # At most so many at once.


@admin.register(Generation)
class GenerationAdmin(HistoryAdmin[Generation]):
    list_display = (
        "age",
        "status",
        "owner",
        "conversation_link",
        "model",
        "duration",
        "time_to_first_token",
        "tokens",
        "tokens_per_second",
        "error_code",
        "trace_link",
    )
    list_filter = ("status", "model", "created_at")
    list_select_related = ("owner", "conversation")
    actions = ("stop_selected", "rerun_selected")
    fields = (
        *("owner", "conversation_link", "message_link", "status", "model"),
        *("created_at", "started_at", "first_delta_at", "ended_at", "duration"),
        *("time_to_first_token", "usage", "tokens_per_second", "cursor", "finish_reason", "error"),
        *("options", "continues_link", "trace_link"),
    )
    readonly_fields = (
        *("conversation_link", "message_link", "continues_link", "trace_link", "duration"),
        *("time_to_first_token", "tokens_per_second"),
    )

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("conversation__title", username_of("owner"), "=model")

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """The change permission, which by itself changes nothing here, is the right to stop."""
        return super(HistoryAdmin, self).has_change_permission(request)

    @admin.action(description=_("Stop selected generations"), permissions=["stop"])
    def stop_selected(self, request: HttpRequest, queryset: GenerationQuerySet) -> None:
        # Newest first: a queued one must not start because the one before it was stopped.
        stopped, failures = stop_all(queryset.active().order_by("-id"))
        for generation in stopped:
            self.log_change(request, generation, _now("Stopped."))
        text = ngettext(
            "%(count)d generation was stopped.", "%(count)d generations were stopped.", len(stopped)
        )
        level = messages.SUCCESS if stopped else messages.WARNING
        self.message_user(request, text % {"count": len(stopped)}, level)
        for failure in failures:
            self.message_user(request, str(failure), messages.ERROR)

    @admin.action(description=_("Re-run selected generations"), permissions=["stop"])
    def rerun_selected(self, request: HttpRequest, queryset: GenerationQuerySet) -> None:
        ended = queryset.filter(ended_at__isnull=False).select_related("owner").order_by("id")
        begun, failures = rerun_all(ended[:RERUNS])
        for generation in begun:
            self.log_change(request, generation, _now("Run again."))
        text = ngettext(
            "%(count)d generation is run again.", "%(count)d generations are run again.", len(begun)
        )
        level = messages.SUCCESS if begun else messages.WARNING
        self.message_user(request, text % {"count": len(begun)}, level)
        for failure in failures:
            self.message_user(request, str(failure), messages.ERROR)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(partial(running_page, model_admin=self))
        return [path("running/", view, name="chat_generation_running"), *super().get_urls()]

    @admin.display(description=_("conversation"), ordering="conversation")
    def conversation_link(self, generation: Generation) -> str:
        return link(generation.conversation, generation.conversation)

    @admin.display(description=_("message"))
    def message_link(self, generation: Generation) -> str:
        return link(generation.message, _("Answer"))

    @admin.display(description=_("goes on from"), empty_value="–")
    def continues_link(self, generation: Generation) -> str | None:
        before = generation.continues
        return link(before, _("An answer that broke off")) if before is not None else None

    @admin.display(description=_("trace"))
    def trace_link(self, generation: Generation) -> str:
        address = reverse("chat:trace", args=[generation.pk])
        return format_html('<a href="{}">{}</a>', address, _("Steps and times"))

    @admin.display(description=_("age"), ordering="-created_at")
    def age(self, generation: Generation) -> str:
        return timesince(generation.created_at, depth=1)

    @admin.display(description=_("duration"))
    def duration(self, generation: Generation) -> str | None:
        """Return for how long it ran, so far if it still does."""
        if generation.started_at is None:
            return None
        end = generation.ended_at or timezone.now()
        return _seconds((end - generation.started_at).total_seconds())

    @admin.display(description=_("first token after"))
    def time_to_first_token(self, generation: Generation) -> str | None:
        if generation.started_at is None or generation.first_delta_at is None:
            return None
        return _seconds((generation.first_delta_at - generation.started_at).total_seconds())

    @admin.display(description=_("tokens in / out"))
    def tokens(self, generation: Generation) -> str | None:
        usage = _usage(generation)
        return f"{usage['input_tokens']} / {usage['output_tokens']}" if usage else None

    @admin.display(description=_("tokens/s"))
    def tokens_per_second(self, generation: Generation) -> str | None:
        """Return the rate from the first token on: the wait for it is shown by itself."""
        usage = _usage(generation)
        begin, end = generation.first_delta_at, generation.ended_at
        if not usage or begin is None or end is None or end <= begin:
            return None
        return f"{usage['output_tokens'] / (end - begin).total_seconds():.1f}"

    @admin.display(description=_("error"))
    def error_code(self, generation: Generation) -> str | None:
        error = generation.error
        return str(error.get("code")) if isinstance(error, dict) else None


def _seconds(seconds: float) -> str:
    return _now("%(seconds).1f s") % {"seconds": seconds}


def _usage(generation: Generation) -> dict[str, int] | None:
    usage = generation.usage
    named = isinstance(usage, dict) and {"input_tokens", "output_tokens"} <= usage.keys()
    return usage if named else None

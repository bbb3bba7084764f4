"""What staff did: to be read and searched, not changed."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat.admin.base import HistoryAdmin, username_of


class LogEntryAdmin(HistoryAdmin[LogEntry]):
    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag", "what")
    list_filter = ("action_flag", "content_type", "action_time")
    list_select_related = ("user", "content_type")
    date_hierarchy = "action_time"
    fields = (*list_display, "object_id")
    readonly_fields = ("what",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("object_repr", "=object_id", "change_message", username_of("user"))

    def has_delete_permission(self, request: HttpRequest, obj: LogEntry | None = None) -> bool:
        """Nobody: what was done stays done."""
        return False

    @admin.display(description=_("what"))
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message() or "–"


# A project may have registered its own.
if not admin.site.is_registered(LogEntry):
    admin.site.register(LogEntry, LogEntryAdmin)

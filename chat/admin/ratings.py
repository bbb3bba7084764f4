"""What people think of answers: to be read and searched, not changed."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from chat.admin.base import HistoryAdmin, text_block, username_of
from chat.models import Generation, Rating


class ModelFilter(admin.SimpleListFilter):
    """By the model that gave the answer."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rated = Generation.objects.filter(message__rating__isnull=False).order_by("model")
        return [(name, name) for name in rated.values_list("model", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rating]) -> QuerySet[Rating]:
        name = self.value()
        return queryset.filter(message__generation__model=name) if name else queryset


@admin.register(Rating)
class RatingAdmin(HistoryAdmin[Rating]):
    list_display = (
        *("updated_at", "value", "model_name", "owner", "why", "comment_shown"),
        "conversation_link",
    )
    list_filter = ("value", ModelFilter, "updated_at")
    list_select_related = ("owner", "message__conversation", "message__generation")
    date_hierarchy = "updated_at"
    fields = (
        *("value", "model_name", "owner", "why", "comment_shown"),
        *("conversation_link", "created_at", "updated_at"),
    )
    readonly_fields = ("model_name", "why", "comment_shown", "conversation_link")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rating]:
        rows: QuerySet[Rating] = super().get_queryset(request)
        return rows.defer("message__text", "message__reasoning")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        named = ("message__conversation__title", username_of("owner"))
        return ("comment", "=message__generation__model", *named)

    @admin.display(description=_("model"), ordering="message__generation__model")
    def model_name(self, rating: Rating) -> str:
        generation: Generation | None = getattr(rating.message, "generation", None)
        return generation.model if generation else "–"

    @admin.display(description=_("reasons"))
    def why(self, rating: Rating) -> str:
        return ", ".join(rating.labels) or "–"

    @admin.display(description=_("comment"))
    def comment_shown(self, rating: Rating) -> str:
        return text_block(rating.comment)

    @admin.display(description=_("conversation"))
    def conversation_link(self, rating: Rating) -> str:
        """Return a link to where the answer stands in its transcript: the last one on its page."""
        address = reverse("admin:chat_conversation_change", args=[rating.message.conversation_id])
        before = UUID(int=rating.message_id.int + 1)
        place = f"{address}?before={before}#m-{rating.message_id}"
        return format_html('<a href="{}">{}</a>', place, rating.message.conversation)

"""What answers have used, what that costs, and how much of it people may use."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from chat.admin.base import ChatAdmin, HistoryAdmin, username_of
from chat.admin.usage import usage_csv, usage_page
from chat.models import Budget, Price, Usage
from chat.models.usage import NANO


@admin.register(Price)
class PriceAdmin(ChatAdmin[Price]):
    list_display = ("__str__", "input_price", "output_price", "currency")
    search_fields = ("model",)


@admin.register(Budget)
class BudgetAdmin(ChatAdmin[Budget]):
    list_display = (
        *("name", "is_on", "scope", "whom", "model"),
        *("amount", "counted_in", "period", "soft_percent"),
    )
    list_filter = ("is_on", "scope", "period", "unit")
    list_select_related = ("user", "group")
    raw_id_fields = ("user",)
    search_fields = ("name", "model")
    fieldsets = (
        (None, {"fields": ("name", "is_on")}),
        (_("Whose"), {"fields": ("scope", "user", "group", "model")}),
        (_("How much"), {"fields": ("amount", "unit", "currency", "period", "soft_percent")}),
    )

    @admin.display(description=_("user or group"))
    def whom(self, budget: Budget) -> str:
        return str(budget.user or budget.group or "–")

    @admin.display(description=_("counted in"), ordering="unit")
    def counted_in(self, budget: Budget) -> str:
        is_money = budget.unit == Budget.Unit.MONEY
        return budget.currency if is_money else str(budget.get_unit_display())


@admin.register(Usage)
class UsageAdmin(HistoryAdmin[Usage]):
    list_display = (
        *("day", "user", "model", "answers", "estimated"),
        *("input_tokens", "output_tokens", "money"),
    )
    list_filter = ("day", "model")
    list_select_related = ("user",)
    date_hierarchy = "day"
    fields = list_display
    readonly_fields = ("money",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (username_of("user"), "model")

    def has_delete_permission(self, request: HttpRequest, obj: Usage | None = None) -> bool:
        """Nobody: budgets count it."""
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("report/", view(usage_page), name="chat_usage_report"),
            path("report.csv", view(usage_csv), name="chat_usage_csv"),
            *super().get_urls(),
        ]

    @admin.display(description=_("cost"), ordering="cost")
    def money(self, usage: Usage) -> str:
        return f"{usage.cost / NANO:.4f} {usage.currency}" if usage.currency else "–"

"""API keys: who has them, when they were last used, and their end."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from chat.admin.base import ChatAdmin, username_of
from chat.models import ApiKey, ApiKeyQuerySet

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, "StrPromise"]]:
        return [("valid", _("Valid")), ("expired", _("Expired")), ("revoked", _("Revoked"))]

    def queryset(  # type: ignore[override]
        self, request: HttpRequest, queryset: ApiKeyQuerySet
    ) -> QuerySet[ApiKey]:
        match self.value():
            case "valid":
                return queryset.valid()
            case "expired":
                return queryset.filter(revoked_at=None, expires_at__lte=timezone.now())
            case "revoked":
                return queryset.exclude(revoked_at=None)
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(ChatAdmin[ApiKey]):
    list_display = (
        *("shown_prefix", "name", "owner", "is_valid"),
        *("last_used_at", "created_at", "expires_at", "revoked_at"),
    )
    list_filter = (StateFilter, "created_at", "last_used_at")
    list_select_related = ("owner",)
    raw_id_fields = ("owner",)
    actions = ("revoke_selected",)
    fields = ("owner", "name", "expires_at")

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return ("name", "prefix", username_of("owner"))

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        history = (
            () if obj is None else ("shown_prefix", "created_at", "last_used_at", "revoked_at")
        )
        return (*self.fields, *history)

    def get_readonly_fields(
        self, request: HttpRequest, obj: ApiKey | None = None
    ) -> tuple[str, ...]:
        return () if obj is None else ("owner", *self.get_fields(request, obj)[3:])

    def save_model(
        self, request: HttpRequest, obj: ApiKey, form: "ModelForm[ApiKey]", change: bool
    ) -> None:
        """Save; of a new key, show the key itself, which cannot be shown again."""
        if change:
            super().save_model(request, obj, form, change)
            return
        row, key = ApiKey.objects.create_key(obj.owner, name=obj.name)
        row.expires_at = obj.expires_at
        row.save(update_fields=["expires_at"])
        obj.pk = row.pk
        obj.refresh_from_db()
        text = _now("Copy the key now, it is not shown again: %(key)s")
        self.message_user(request, text % {"key": key}, messages.WARNING)

    @admin.action(description=_("Revoke selected API keys"), permissions=["change"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        with transaction.atomic():
            keys = list(queryset.filter(revoked_at=None))
            for key in keys:  # Saved one by one: saving is what ends a key's readers.
                key.revoked_at = timezone.now()
                key.save(update_fields=["revoked_at"])
                self.log_change(request, key, _now("Revoked."))
        text = ngettext(
            "%(count)d API key was revoked.", "%(count)d API keys were revoked.", len(keys)
        )
        level = messages.SUCCESS if keys else messages.WARNING
        self.message_user(request, text % {"count": len(keys)}, level)

    @admin.display(description=_("key"), ordering="prefix")
    def shown_prefix(self, key: ApiKey) -> str:
        return f"sk-{key.prefix}-…"

    @admin.display(description=_("valid"), boolean=True)
    def is_valid(self, key: ApiKey) -> bool:
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return key.revoked_at is None and not expired and key.owner.is_active

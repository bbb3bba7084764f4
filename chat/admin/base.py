"""What the admins of this package share."""

from typing import TYPE_CHECKING, Any, TypeVar

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin):
        """Django's, taking the type argument that only its stubs know."""

        def __class_getitem__(cls, model):
            return cls


M = TypeVar("M", bound=Model)


class ChatAdmin(ModelAdmin[M]):
    show_full_result_count = False

    class Media:
        css = {"all": ["chat/admin.css"]}


class HistoryAdmin(ChatAdmin[M]):
    """Shows rows that nobody adds or edits: history is what happened. Deleting takes permission."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        return False


def username_of(relation: str) -> str:
    """Return the lookup of a related user's name, whatever the user model calls it."""
    return f"{relation}__{get_user_model().USERNAME_FIELD}"


def link(instance: Model, label: Any) -> str:
    """Return a link to the page of an object in the admin. The label is escaped."""
    name = f"admin:{instance._meta.app_label}_{instance._meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[instance.pk]), label)


def link_to_list(model: type[Model], label: Any, **filters: Any) -> str:
    """Return a link to the filtered list of a model's objects. The label is escaped."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    return format_html('<a href="{}">{}</a>', reverse(name, query=filters), label)


def text_block(text: str) -> str:
    """Return a text as it was written: escaped, with its line breaks and spaces."""
    return format_html('<div class="chat-text" dir="auto">{}</div>', text) if text else "–"


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Return whether the admin would show the objects of another model to this user."""
    found = admin.site.get_model_admin(model)
    return found.has_view_permission(request)

"""Rules of retention: what they would take, and taking it."""

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import async_to_sync
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from chat.admin.base import ChatAdmin, may_view
from chat.audit import note
from chat.errors import ChatError
from chat.generations.retention import preview, run_rule
from chat.models import Conversation, RetentionRule

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    RuleModelForm = forms.ModelForm[RetentionRule]
else:
    RuleModelForm = forms.ModelForm

RUN_SECONDS = 20.0  # Less than proxies wait for a page.


class RuleForm(RuleModelForm):
    def clean(self) -> dict[str, Any]:
        """Refuse a rule for groups without one, and groups in a rule for everybody."""
        cleaned: dict[str, Any] = super().clean() or {}
        groups, scope = cleaned.get("groups"), cleaned.get("scope")
        if scope == RetentionRule.Scope.GROUPS and not groups:
            self.add_error("groups", _now("Say which groups."))
        if scope == RetentionRule.Scope.EVERYBODY and groups:
            self.add_error("groups", _now("This rule is for everybody: leave it empty."))
        return cleaned


@admin.register(RetentionRule)
class RetentionRuleAdmin(ChatAdmin[RetentionRule]):
    form = RuleForm
    list_display = (
        *("name", "is_on", "takes", "days", "scope"),
        *("archived_only", "spares_pinned", "spares_staff", "last_run_at", "dry_run"),
    )
    list_filter = ("is_on", "takes")
    search_fields = ("name",)
    filter_horizontal = ("groups",)
    fieldsets = (
        (None, {"fields": ("name", "is_on")}),
        (_("What is deleted"), {"fields": ("takes", "days", "archived_only", "spares_pinned")}),
        (_("Whose"), {"fields": ("scope", "groups", "spares_staff")}),
        (_("Runs"), {"fields": ("last_run_at", "taken_then", "dry_run")}),
    )
    readonly_fields = ("last_run_at", "taken_then", "dry_run")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        page = partial(dry_run_page, model_admin=self)
        return [
            path("dry-run/", view(page), name="chat_retentionrule_dry_runs"),
            path("<int:pk>/dry-run/", view(page), name="chat_retentionrule_dry_run"),
            *super().get_urls(),
        ]

    def has_run_permission(self, request: HttpRequest, rule: RetentionRule) -> bool:
        """Whoever may change the rule, and delete a conversation by hand."""
        conversations = self.admin_site.get_model_admin(Conversation)
        may_change: bool = self.has_change_permission(request, rule)
        return may_change and conversations.has_delete_permission(request)

    @admin.display(description=_("dry run"))
    def dry_run(self, rule: RetentionRule) -> str:
        if rule.pk is None:
            return "–"
        address = reverse("admin:chat_retentionrule_dry_run", args=[rule.pk])
        return format_html('<a href="{}">{}</a>', address, _("What it would delete"))

    @admin.display(description=_("taken then"))
    def taken_then(self, rule: RetentionRule) -> str:
        amounts = rule.last_taken or {}
        names = {
            "conversations": _now("conversations: %(count)d"),
            "messages": _now("messages: %(count)d"),
            "files": _now("files: %(count)d"),
            "steps": _now("steps: %(count)d"),
        }
        shown = [text % {"count": amounts[name]} for name, text in names.items() if name in amounts]
        return ", ".join(shown) or "–"


def dry_run_page(
    request: HttpRequest, *, model_admin: RetentionRuleAdmin, pk: int | None = None
) -> HttpResponse:
    """Show what one rule, or each, would take. On a POST that confirms it, let one take it."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    rules = [get_object_or_404(RetentionRule, pk=pk)] if pk else list(RetentionRule.objects.all())
    if request.method == "POST" and pk:
        if not model_admin.has_run_permission(request, rules[0]):
            raise PermissionDenied
        _run(request, rules[0])
        return redirect("admin:chat_retentionrule_dry_run", pk)
    context = {
        **admin.site.each_context(request),
        "title": _now("Dry run"),
        "subtitle": rules[0] if pk else None,
        "opts": RetentionRule._meta,
        "parts": [(preview(rule), model_admin.has_run_permission(request, rule)) for rule in rules],
        "shows_titles": may_view(request, Conversation),
    }
    response = TemplateResponse(request, "admin/chat/retentionrule/dry_run.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _run(request: HttpRequest, rule: RetentionRule) -> None:
    if request.POST.get("terms") != rule.terms:
        messages.error(request, _now("The rule was changed meanwhile: look at this first."))
        return
    if not request.POST.get("sure"):
        messages.error(request, _now("Nothing was deleted: confirm that it is to be."))
        return
    try:
        run = async_to_sync(run_rule)(rule, seconds=RUN_SECONDS)
    except ChatError as exc:
        messages.error(request, str(exc))
        return
    count = run.taken["conversations"]
    text = _now("Run: %(count)d conversations affected.") % {"count": count}
    note(cast("AbstractBaseUser", request.user), rule, text)
    messages.success(request, text)
    if not run.is_finished:
        messages.warning(request, _now("There is more than was done in this time: run it again."))

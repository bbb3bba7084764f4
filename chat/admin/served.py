"""The models that staff define. Their keys go in here, and never come out."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from chat import audit
from chat.admin.base import ChatAdmin
from chat.admin.trials import MOST_TRIED, Trial, try_all
from chat.language import tell
from chat.llm.keys import reseal
from chat.llm.served import is_found_name
from chat.models import ServedModel

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[ServedModel]
else:
    ModelForm = forms.ModelForm


class ServedModelForm(ModelForm):
    """A model, and what is to become of its key, which is not shown."""

    new_key = forms.CharField(
        label=_("API key"),
        required=False,
        max_length=1000,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text=_("Kept encrypted, and never shown again. Empty: what is set stays as it is."),
    )
    remove_key = forms.BooleanField(label=_("Remove the key"), required=False)

    class Meta:
        model = ServedModel
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        key = cleaned.get("new_key", "")
        if key and is_found_name(cleaned.get("name", "")):
            text = _("This name is that of a model that is found: leave this empty.")
            self.add_error("new_key", text)
        elif not key and not cleaned.get("remove_key") and self._has_moved():
            # Who may not know a key could otherwise have it sent to a server of their own.
            text = _("The address has changed: enter the key again, or remove it.")
            self.add_error("new_key", text)
        return cleaned

    def _has_moved(self) -> bool:
        moved = {"base_url", "provider"} & set(self.changed_data)
        return self.instance.has_key and bool(moved)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        key = self.cleaned_data.get("new_key", "")
        if key or self.cleaned_data.get("remove_key"):
            try:
                self.instance.set_key(key)
            except ValidationError as exc:
                self.add_error("new_key", exc)


@admin.register(ServedModel)
class ServedModelAdmin(ChatAdmin[ServedModel]):
    form = ServedModelForm
    list_display = (
        *("name", "label", "where", "whom", "is_on"),
        *("place", "key_state", "price_state"),
    )
    list_filter = ("is_on", "provider", "groups")
    search_fields = ("name", "label", "description", "model")
    filter_horizontal = ("groups",)
    actions = ("test_selected", "reseal_selected")
    readonly_fields = ("key_state",)
    fieldsets = (
        (None, {"fields": ("name", "label", "description", "is_on", "place", "groups")}),
        (
            _("Where it is"),
            {
                "fields": (
                    *("provider", "model", "base_url"),
                    *("key_state", "new_key", "remove_key"),
                )
            },
        ),
        (
            _("How it is asked"),
            {"fields": ("images", "temperature", "top_p", "max_tokens", "context_tokens")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ServedModel]:
        found: Any = super().get_queryset(request)
        return found.with_price().prefetch_related("groups")  # type: ignore[no-any-return]

    @method_decorator(sensitive_post_parameters("new_key"))
    def changeform_view(self, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(*args, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.test_view)
        own = path("<int:object_id>/test/", view, name="chat_servedmodel_test")
        return [own, *super().get_urls()]

    def test_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Test one model, asked for on its own page."""
        row = get_object_or_404(ServedModel, pk=object_id)
        if request.method != "POST" or not self.has_change_permission(request, row):
            raise PermissionDenied
        self._test(request, [row])
        return redirect("admin:chat_servedmodel_change", row.pk)

    @admin.action(description=_("Test selected models"), permissions=["change"])
    def test_selected(self, request: HttpRequest, queryset: QuerySet[ServedModel]) -> None:
        self._test(request, queryset[:MOST_TRIED])

    def _test(self, request: HttpRequest, rows: Iterable[ServedModel]) -> None:
        for trial in try_all(rows):
            level = messages.ERROR if trial.error else messages.SUCCESS
            self.message_user(request, said_of(trial), level)
            audit.note(request.user, trial.row, f"Tested: {trial.outcome}.")  # type: ignore[arg-type]

    @admin.action(
        description=_("Encrypt keys with the SECRET_KEY in force"), permissions=["change"]
    )
    def reseal_selected(self, request: HttpRequest, queryset: QuerySet[ServedModel]) -> None:
        rows = [row for row in queryset.exclude(sealed_key="") if row.has_readable_key]
        for row in rows:
            row.sealed_key = reseal(row.sealed_key)
            row.save(update_fields=["sealed_key"])
            self.log_change(request, row, gettext("Encrypted anew."))
        text = gettext("Keys that are encrypted anew: %(count)d")
        self.message_user(request, text % {"count": len(rows)}, messages.SUCCESS)

    @admin.display(description=_("address"), ordering="base_url")
    def where(self, row: ServedModel) -> str:
        return row.base_url or gettext("the site's")

    @admin.display(description=_("for"))
    def whom(self, row: ServedModel) -> str:
        return ", ".join(str(group) for group in row.groups.all()) or gettext("Everybody")

    @admin.display(description=_("key"))
    def key_state(self, row: ServedModel) -> str:
        if not row.has_key:
            return gettext("None is set.")
        if row.has_readable_key:
            return gettext("One is set.")
        return gettext("One is set and cannot be read: SECRET_KEY has changed. Enter it again.")

    @admin.display(description=_("price"))
    def price_state(self, row: Any) -> str:
        if row.has_price:
            return gettext("Set")
        return gettext("That of any other model") if row.has_common_price else gettext("Not set")


def said_of(trial: Trial) -> str:
    """Return what staff are told of a test."""
    if trial.error is None:
        text = gettext("“%(model)s” answered after %(seconds)s s: %(words)s")
        facts = {"seconds": f"{trial.seconds:.2f}", "words": trial.words}
        return text % ({"model": trial.row.name} | facts)
    told = {"model": trial.row.name, "error": tell(trial.error.as_dict())}
    return gettext("“%(model)s” does not answer: %(error)s") % told

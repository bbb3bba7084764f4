"""A user's own account: API keys."""

from typing import TYPE_CHECKING, cast
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from chat.models import ApiKey, Preferences
from chat.views.preferences import PreferencesForm

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


class ApiKeyForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        required=False,
        widget=forms.TextInput(
            attrs={"placeholder": gettext_lazy("What uses it"), "autocomplete": "off"}
        ),
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("Expires"),
        coerce=int,
        choices=[
            (30, gettext_lazy("in 30 days")),
            (90, gettext_lazy("in 90 days")),
            (365, gettext_lazy("in a year")),
            (0, gettext_lazy("never")),
        ],
        initial=90,
    )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """List the user's API keys. A posted form creates one, which is shown this once."""
    form = ApiKeyForm(request.POST or None)
    created = None
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"] or None
        row, key = ApiKey.objects.create_key(
            cast("AbstractBaseUser", request.user), name=form.cleaned_data["name"], days=days
        )
        # Not a redirect: the key would have to be kept somewhere in between.
        created, form = {"row": row, "key": key}, ApiKeyForm()
    keys = ApiKey.objects.owned_by(request.user).filter(revoked_at=None)
    context = {
        "key_form": form,
        "form": PreferencesForm(instance=Preferences.objects.of(request.user)),
        "created": created,
        "keys": keys,
        "now": timezone.now(),
    }
    return render(request, "chat/account.html", context)


@login_required
@require_POST
def revoke_key(request: HttpRequest, key_id: UUID) -> HttpResponse:
    """End a key at once, for good."""
    key = get_object_or_404(
        ApiKey.objects.owned_by(request.user).filter(revoked_at=None), pk=key_id
    )
    key.revoked_at = timezone.now()
    key.save(update_fields=["revoked_at"])
    messages.success(request, _("The key “%(key)s” was revoked.") % {"key": key})
    return redirect("chat:account")

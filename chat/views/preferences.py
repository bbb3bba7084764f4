"""What a person chooses about how pages speak and behave, as a page and as a dialog of the chat."""

from typing import TYPE_CHECKING, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext, gettext_lazy, override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat.models import Preferences

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    BaseForm = forms.ModelForm[Preferences]
else:
    BaseForm = forms.ModelForm

YEAR = 365 * 24 * 3600
LABELS = {
    "language": gettext_lazy("Language"),
    "announce": gettext_lazy("What a screen reader is told of an answer"),
    "whole": gettext_lazy("Show answers when they are complete"),
    "sound": gettext_lazy("Play a sound when an answer is ready"),
    "keys": gettext_lazy("Keyboard shortcuts"),
    "ctrl_enter": gettext_lazy("Ctrl+Enter sends, Enter makes a new line"),
}


class PreferencesForm(BaseForm):
    class Meta:
        model = Preferences
        fields = tuple(LABELS)
        labels = LABELS

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        choices = [("", gettext("that of the browser")), *settings.LANGUAGES]
        self.fields["language"] = forms.ChoiceField(
            choices=choices, required=False, label=LABELS["language"]
        )


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: HttpRequest) -> HttpResponse:
    """Show what is chosen. A posted form keeps another choice, in force at once."""
    row = Preferences.objects.of(cast("AbstractBaseUser", request.user))
    form = PreferencesForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        form.save()
        with override(row.language or get_language()):
            messages.success(request, gettext("Saved."))
        return keep_language(redirect("chat:preferences"), row.language)
    return render(request, "chat/preferences.html", {"form": form})


def unsaid_language(request: HttpRequest, chosen: Preferences) -> str:
    """Return the language that a person chose on another device, if this one does not know it."""
    known = request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME)
    return "" if known else chosen.language


def keep_language(response: HttpResponse, language: str) -> HttpResponse:
    """Have the browser ask for a language from now on, or for its own."""
    if language:
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            language,
            max_age=YEAR,
            samesite="Lax",
            httponly=True,
            secure=settings.SESSION_COOKIE_SECURE,
        )
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response

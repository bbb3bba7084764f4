"""The page behind the link that ``manage.py start`` prints while there is no account."""

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model, login
from django.contrib.auth.forms import BaseUserCreationForm
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chat import setup_link
from chat.guests import people

User = get_user_model()


def _required_fields() -> tuple[str, ...]:
    """Return what the site's user model insists on, besides the password."""
    optional = {field.name for field in User._meta.get_fields() if getattr(field, "blank", False)}
    return User.USERNAME_FIELD, *(name for name in User.REQUIRED_FIELDS if name not in optional)


class FirstAccountForm(BaseUserCreationForm):  # type: ignore[type-arg]
    """The name and password of the person who looks after the site."""

    class Meta(BaseUserCreationForm.Meta):  # Its name field suits phones, too.
        model = User
        fields = _required_fields()

    def create(self) -> Any:
        """
        Create the account, with every permission, and end the link.

        Raise LinkUsed, changing nothing, if there is an account by now.
        """
        values = {name: self.cleaned_data[name] for name in self.Meta.fields}
        password = self.cleaned_data["password1"]
        try:
            with transaction.atomic():
                if people().exists():
                    raise setup_link.LinkUsed
                user = User._default_manager.create_superuser(password=password, **values)
                # Last: whoever loses this race takes back the account just created.
                setup_link.use()
        except IntegrityError as exc:
            raise setup_link.LinkUsed from exc
        return user


@never_cache
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Create the first account and sign in, once, for whoever holds the link."""
    if not setup_link.matches(token) or people().exists():
        return _gone(request)
    form = FirstAccountForm(request.POST or None)
    if not form.is_valid():
        return render(request, "chat/setup.html", {"form": form})
    try:
        user = form.create()
    except setup_link.LinkUsed:
        return _gone(request)
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return redirect("chat:home")


def _gone(request: HttpRequest) -> HttpResponse:
    # Wrong, used and out of date are answered alike.
    context = {"form": None, "reason": _("This link does not work any more.")}
    return render(request, "chat/setup.html", context, status=404)

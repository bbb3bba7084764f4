"""What a person has chosen about how pages speak and behave, on every device."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser


class Announce(models.TextChoices):
    """When a screen reader is told of an answer that is being written."""

    SENTENCE = "sentence", _("each sentence")
    PARAGRAPH = "paragraph", _("each paragraph")
    END = "end", _("the whole answer, when it is complete")
    OFF = "off", _("nothing")


class PreferencesManager(models.Manager["Preferences"]):
    def of(self, user: "AbstractBaseUser | AnonymousUser") -> "Preferences":
        """Return what a user has chosen; of who has chosen nothing, the defaults, unsaved."""
        if not user.is_authenticated:
            return Preferences()
        return self.filter(owner_id=user.pk).first() or Preferences(owner_id=str(user.pk))


class Preferences(models.Model):
    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
    )
    language = models.CharField(
        _("language"), max_length=16, blank=True, help_text=_("Empty: that of the browser.")
    )
    announce = models.CharField(
        _("announcements"), max_length=16, choices=Announce.choices, default=Announce.END
    )
    whole = models.BooleanField(_("show answers when they are complete"), default=False)
    sound = models.BooleanField(_("a sound when an answer is ready"), default=False)
    keys = models.BooleanField(_("keyboard shortcuts"), default=True)
    # The default is the database's too: until they end, older processes do not know the column.
    ctrl_enter = models.BooleanField(
        _("Ctrl+Enter sends, Enter makes a new line"), default=False, db_default=False
    )

    objects = PreferencesManager()

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return str(self.owner)

    def as_config(self) -> dict[str, Any]:
        """Return what the page's script must know of it."""
        names = ("announce", "whole", "sound", "keys", "ctrl_enter")
        return {name: getattr(self, name) for name in names}

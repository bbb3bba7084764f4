"""Share links: what one may show of a conversation to whoever has its address."""

import secrets
from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Conversation, Message
from chat.models.ids import new_id
from chat.models.kept import is_alive

if TYPE_CHECKING:
    from chat.models.kept import Viewer


def new_token() -> str:
    """Return 256 random bits for an address."""
    return secrets.token_urlsafe(32)


class ShareQuerySet(models.QuerySet["Share"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(is_alive("conversation__"), conversation__owner_id=user.pk)

    def open(self) -> Self:
        """Neither expired, nor of a conversation or an account that is gone."""
        unexpired = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(
            unexpired, is_alive("conversation__"), conversation__owner__is_active=True
        )


class Share(models.Model):
    """
    A conversation as it was when it was shared: one branch, up to ``leaf``.

    Messages never change and branches only grow, so naming its last message
    keeps the whole snapshot. To revoke a link is to delete its row. The token is
    stored as it is, for its owner gets to see the link again.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        Conversation,
        on_delete=models.CASCADE,
        related_name="shares",
        verbose_name=_("conversation"),
    )
    leaf = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="+", verbose_name=_("last message")
    )
    token = models.CharField(max_length=64, unique=True, default=new_token, editable=False)
    title = models.CharField(_("title"), max_length=200, blank=True)
    shown_name = models.CharField(
        _("name"), max_length=150, blank=True, help_text=_("Empty: nobody is named.")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)

    objects = ShareQuerySet.as_manager()

    class Meta:
        verbose_name = _("share link")
        verbose_name_plural = _("share links")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.title or str(_("New conversation"))

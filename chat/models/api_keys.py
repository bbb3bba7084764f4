"""API keys: how programs sign in."""

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.ids import new_id

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

    from chat.models.kept import Viewer


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def owned_by(self, user: "Viewer") -> Self:
        """Every query made for a client starts here; a stranger's row is simply not found."""
        return self.filter(owner_id=user.pk) if user.is_authenticated else self.none()

    def valid(self) -> Self:
        """Neither revoked nor expired, and of an active user."""
        now = timezone.now()
        return self.filter(revoked_at=None, owner__is_active=True).exclude(expires_at__lte=now)

    def create_key(
        self, owner: "AbstractBaseUser", *, name: str = "", days: int | None = None
    ) -> "tuple[ApiKey, str]":
        """Return the new row and the key itself, which is stored nowhere."""
        prefix = secrets.token_hex(4)
        key = f"sk-{prefix}-{secrets.token_urlsafe(32)}"
        expires_at = timezone.now() + timedelta(days=days) if days else None
        row = self.create(
            owner_id=owner.pk, name=name, prefix=prefix, digest=digest(key), expires_at=expires_at
        )
        return row, key

    def find(self, key: str) -> "ApiKey | None":
        """Return the valid row of a presented key, with its owner. Compares in constant time."""
        parts = key.split("-", 2)
        if len(parts) != 3 or parts[0] != "sk" or "\x00" in key:
            return None
        row = self.valid().select_related("owner").filter(prefix=parts[1]).first()
        return row if row and secrets.compare_digest(row.digest, digest(key)) else None


class ApiKey(models.Model):
    """A way in for programs. Only the SHA-256 of a key is kept; its prefix finds the row."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="api_keys",
        verbose_name=_("owner"),
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(_("prefix"), max_length=8, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name or _('API key')} (sk-{self.prefix}-…)"


def digest(key: str) -> str:
    """Return the hex SHA-256 of a key. Its 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()

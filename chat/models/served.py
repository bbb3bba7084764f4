"""Models that staff define: where they are, for whom, and what is said of them."""

import re
from typing import Any, Self
from urllib.parse import urlsplit

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import DatabaseError, connection, models
from django.utils.translation import gettext_lazy as _

from chat.llm.keys import can_unseal, seal
from chat.llm.served import Catalogue, Served, is_found_name
from chat.models.budgets import Price

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
IS_KEY = re.compile(r"[\x21-\x7e]{1,1000}")  # What can stand in a header.
OPTIONS = ("temperature", "top_p", "max_tokens")


def is_address(url: str) -> None:
    """Raise ValidationError for what is no address of a model server."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or not url.isprintable() or " " in url:
        raise ValidationError(_("An address of http or https, as in https://host.example.com/v1."))
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValidationError(_("Only an address: no name, no password, nothing behind it."))


class ServedModelQuerySet(models.QuerySet["ServedModel"]):
    def catalogue(self) -> Catalogue:
        """
        Return what is in force. Two queries, the second only where there are groups.

        Nothing, where the table is still to be made.
        """
        try:
            rows = list(self.prefetch_related("groups"))
        except DatabaseError:
            if self.model._meta.db_table in connection.introspection.table_names():
                raise
            return Catalogue()
        on = {row.name: row.as_served() for row in rows if row.is_on}
        return Catalogue(rows=on, off=frozenset(row.name for row in rows if not row.is_on))

    def with_price(self) -> Self:
        """Add whether a price is set: ``has_price`` its own, ``has_common_price`` that of any."""
        own = Price.objects.filter(model=models.OuterRef("name"))
        common = Price.objects.filter(model="")
        return self.annotate(has_price=models.Exists(own), has_common_price=models.Exists(common))

    def leave_group(self, group: Group) -> None:
        """
        Take a group that is about to go from all of them.

        What only that group could use is off then: for everybody it was never meant.
        """
        for row in self.filter(groups=group):
            row.groups.remove(group)
            if not row.groups.exists():
                row.is_on = False
                row.save(update_fields=["is_on"])


class ServedModel(models.Model):
    """
    A model by a name of the site's own; or, by a name such as ``openai:gpt-4.1-mini``,
    what is said of a model that is found anyway, and who may use it.
    """

    class Provider(models.TextChoices):
        OPENAI = "openai", _("OpenAI-compatible server")
        OLLAMA = "ollama", _("Ollama")

    class Images(models.TextChoices):
        GUESS = "", _("By its name")
        YES = "yes", _("Yes")
        NO = "no", _("No")

    name = models.CharField(
        _("name"),
        max_length=200,
        unique=True,
        help_text=_(
            "What people choose and programs send, such as fast. Or the name of a model that is"
            " found, such as openai:gpt-4.1-mini, to describe it or to limit who may use it."
        ),
    )
    label = models.CharField(
        _("label"), max_length=100, blank=True, help_text=_("Shown instead of the name.")
    )
    description = models.CharField(_("description"), max_length=300, blank=True)
    provider = models.CharField(
        _("provider"), max_length=10, choices=Provider.choices, default=Provider.OPENAI
    )
    model = models.CharField(
        _("model name there"),
        max_length=200,
        blank=True,
        help_text=_("As its server calls it. Empty: the same name."),
    )
    base_url = models.CharField(
        _("address"),
        max_length=500,
        blank=True,
        validators=[is_address],
        help_text=_(
            "Of its server, with the path up to /v1. Empty: that of the site, with the site's key."
            " The site's key is never sent to another address."
        ),
    )
    sealed_key = models.TextField(blank=True, default="", editable=False)
    images = models.CharField(
        _("takes images"), max_length=3, choices=Images.choices, blank=True, default=Images.GUESS
    )
    temperature = models.FloatField(
        _("temperature"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(2)],
    )
    top_p = models.FloatField(
        _("top P"), null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(1)]
    )
    max_tokens = models.PositiveIntegerField(
        _("longest answer, in tokens"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000)],
    )
    context_tokens = models.PositiveIntegerField(
        _("context, in tokens"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100_000_000)],
        help_text=_("What it can read. Empty: as set for the site."),
    )
    is_on = models.BooleanField(
        _("on"), default=True, help_text=_("Off: nobody can use it, nor is it listed.")
    )
    place = models.PositiveSmallIntegerField(
        _("place"), default=0, help_text=_("In the list: lower numbers come first.")
    )
    groups = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        verbose_name=_("groups"),
        help_text=_("Who may use it. None: everybody."),
    )

    objects = ServedModelQuerySet.as_manager()

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")
        ordering = ["place", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        return bool(self.sealed_key)

    @property
    def has_readable_key(self) -> bool:
        """Whether its key, if it has one, can still be read."""
        return can_unseal(self.sealed_key)

    def set_key(self, key: str) -> None:
        """Keep a key, encrypted; an empty one removes it. Raise ValidationError."""
        if key and not IS_KEY.fullmatch(key):
            raise ValidationError(_("A key has no spaces, and only letters, digits and signs."))
        self.sealed_key = seal(key)

    def clean(self) -> None:
        if not is_found_name(self.name):
            if not PLAIN_NAME.fullmatch(self.name):
                text = _("Letters, digits and . _ - / only, or the name of a model that is found.")
                raise ValidationError({"name": text})
            return
        own = {name for name in ("model", "base_url") if getattr(self, name)}
        if own:
            text = _("This name is that of a model that is found: leave this empty.")
            raise ValidationError(dict.fromkeys(own, text))

    def as_served(self) -> Served:
        """Return it as what answers are asked of."""
        given = {name: getattr(self, name) for name in OPTIONS}
        images: dict[str, bool | None] = {"yes": True, "no": False}
        options: list[tuple[str, Any]] = [(k, v) for k, v in given.items() if v is not None]
        return Served(
            name=self.name,
            label=self.label,
            description=self.description,
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            sealed_key=self.sealed_key,
            images=images.get(self.images),
            options=tuple(options),
            context_tokens=self.context_tokens,
            groups=frozenset(group.pk for group in self.groups.all()),
        )

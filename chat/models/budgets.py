"""What models cost, and how much of them people may use."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.usage import NANO, today

MILLION = 1_000_000
is_currency = RegexValidator(r"^[A-Z]{3}$", _("Three capital letters, such as EUR."))


def _price(name: Any) -> "models.DecimalField[Any, Any]":
    return models.DecimalField(
        name,
        max_digits=12,
        decimal_places=6,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text=_("For a million tokens."),
    )


class Price(models.Model):
    """What a model's tokens cost. A change counts from then on: what was used keeps its price."""

    model = models.CharField(
        _("model"),
        max_length=200,
        unique=True,
        blank=True,
        help_text=_("As the list of generations names it. Empty: any other model."),
    )
    input_price = _price(_("price of input"))
    output_price = _price(_("price of output"))
    currency = models.CharField(
        _("currency"), max_length=3, default="USD", validators=[is_currency]
    )

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        ordering = ["model"]

    def __str__(self) -> str:
        return self.model or str(_("Any other model"))

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """Return what tokens cost, in billionths."""
        amount = self.input_price * input_tokens + self.output_price * output_tokens
        return int(amount * NANO / MILLION)


class Budget(models.Model):
    """
    How much may be used in a period.

    Of a user, of everyone by themselves, or of a group or the whole site together.
    """

    class Scope(models.TextChoices):
        USER = "user", _("One user")
        GROUP = "group", _("The users of a group, together")
        EACH = "each", _("Everyone, each for themselves")
        SITE = "site", _("Everyone, together")

    class Unit(models.TextChoices):
        TOKENS = "tokens", _("Tokens")
        MONEY = "money", _("Money")

    class Period(models.TextChoices):
        DAY = "day", _("Day")
        WEEK = "week", _("Week")
        MONTH = "month", _("Month")
        TOTAL = "total", _("All time")

    name = models.CharField(
        _("name"), max_length=100, help_text=_("People are told it when nothing is left.")
    )
    is_on = models.BooleanField(_("on"), default=True)
    scope = models.CharField(_("for"), max_length=5, choices=Scope.choices, default=Scope.EACH)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    group = models.ForeignKey(
        "auth.Group",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("group"),
    )
    model = models.CharField(
        _("model"), max_length=200, blank=True, help_text=_("Empty: all models together.")
    )
    unit = models.CharField(_("counted in"), max_length=6, choices=Unit.choices, default="tokens")
    amount = models.DecimalField(
        _("amount"), max_digits=18, decimal_places=4, validators=[MinValueValidator(Decimal(0))]
    )
    currency = models.CharField(
        _("currency"), max_length=3, default="USD", validators=[is_currency]
    )
    period = models.CharField(_("period"), max_length=5, choices=Period.choices, default="month")
    soft_percent = models.PositiveSmallIntegerField(
        _("warn at"),
        default=80,
        validators=[MaxValueValidator(100)],
        help_text=_("Percent of the amount. 0: never."),
    )

    class Meta:
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
        ordering = ["name", "pk"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        for scope, field in ((self.Scope.USER, "user"), (self.Scope.GROUP, "group")):
            is_named = getattr(self, f"{field}_id") is not None
            if self.scope == scope and not is_named:
                raise ValidationError({field: _("Say whose budget this is.")})
            if self.scope != scope and is_named:
                raise ValidationError({field: _("This budget is for others: leave it empty.")})

    @property
    def limit(self) -> int:
        """The amount in what is counted: tokens, or billionths of the currency."""
        return int(self.amount * (NANO if self.unit == self.Unit.MONEY else 1))

    @property
    def soft_limit(self) -> int | None:
        return self.limit * self.soft_percent // 100 if self.soft_percent else None

    def begin(self) -> date | None:
        """Return the first day of the period that it is now, None if there is but one."""
        day = today()
        match self.period:
            case self.Period.DAY:
                return day
            case self.Period.WEEK:
                return day - timedelta(days=day.weekday())
            case self.Period.MONTH:
                return day.replace(day=1)
        return None

    def renews_at(self) -> datetime | None:
        """Return when the next period begins, None if none does."""
        begin = self.begin()
        if begin is None:
            return None
        days = {"day": 1, "week": 7, "month": 32}[self.period]
        following = begin + timedelta(days=days)
        if self.period == self.Period.MONTH:
            following = following.replace(day=1)
        return timezone.make_aware(
            datetime.combine(following, time()), timezone.get_default_timezone()
        )

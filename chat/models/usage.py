"""What answers have used, by day, user and model; and what those being written have used so far."""

from datetime import date, datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Generation

NANO = 1_000_000_000  # Money is counted in whole billionths, so that nothing is rounded away.


class SpentQuerySet(models.QuerySet[Any]):
    def totals(self) -> dict[str, int]:
        """Return the sums of ``input_tokens``, ``output_tokens`` and ``cost``."""
        names = ("input_tokens", "output_tokens", "cost")
        found = self.aggregate(**{f"sum_{name}": models.Sum(name) for name in names})
        return {name: found[f"sum_{name}"] or 0 for name in names}


class UsageQuerySet(SpentQuerySet):
    def since(self, day: date | None) -> Self:
        """Those of a day and later ones; of None, all."""
        return self if day is None else self.filter(day__gte=day)


class Usage(models.Model):
    """
    What one user's answers of one model used on one day.

    It outlives conversations and accounts: of a deleted account the sums are
    kept, without a name. Days are those of the site's time zone.
    """

    day = models.DateField(_("day"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("user"),
    )
    model = models.CharField(_("model"), max_length=200)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    answers = models.PositiveIntegerField(_("answers"), default=0)
    estimated = models.PositiveIntegerField(
        _("estimated"), default=0, help_text=_("Answers whose tokens the model did not count.")
    )
    input_tokens = models.BigIntegerField(_("tokens in"), default=0)
    output_tokens = models.BigIntegerField(_("tokens out"), default=0)
    cost = models.BigIntegerField(_("cost"), default=0, help_text=_("In billionths."))

    objects = UsageQuerySet.as_manager()

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")
        ordering = ["-day"]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "user", "model", "currency"], name="one_usage_per_day"
            )
        ]
        indexes = [models.Index(fields=["user", "day"], name="usage_of_user")]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"


class SpendingQuerySet(SpentQuerySet):
    def running(self) -> Self:
        """Not those that have ended: their end has added them to the usage."""
        return self.filter(generation__status=Generation.Status.RUNNING)


class Spending(models.Model):
    """
    What an answer being written has used by now, by estimate, where a budget asks.

    Every process reads those of all others, so answers that run at the same
    time share what is left. Rows of answers that have ended are swept away.
    """

    generation = models.OneToOneField(
        Generation, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.CharField(max_length=200)
    currency = models.CharField(max_length=3, blank=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost = models.BigIntegerField(default=0)

    objects = SpendingQuerySet.as_manager()

    class Meta:
        verbose_name = _("spending")
        verbose_name_plural = _("spendings")

    def __str__(self) -> str:
        return str(self.generation_id)


def today(now: datetime | None = None) -> date:
    """Return the day it is in the site's time zone, whatever that of the request is."""
    return timezone.localdate(now, timezone.get_default_timezone())

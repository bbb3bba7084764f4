"""
Prices and budgets, as this process knows them: read from the database every few seconds.

Where there are none, nothing further is asked of the database for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.core.signals import setting_changed
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from chat.models import Budget, Price

LIFE_SECONDS = 5.0  # Until a change is known in other processes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is in force."""

    prices: Mapping[str, Price]
    budgets: Sequence[Budget]

    def price_of(self, model: str) -> Price | None:
        return self.prices.get(model) or self.prices.get("")


_known: tuple[float, Rates] | None = None


def known() -> Rates | None:
    """Return what was read a moment ago, None if it has to be read again."""
    if _known is None or monotonic() - _known[0] > LIFE_SECONDS:
        return None
    return _known[1]


def read_before() -> Rates:
    """Return what was read last, however long ago. No database work."""
    return _known[1] if _known else Rates(prices={}, budgets=[])


def rates() -> Rates:
    """Return what is in force. A unit of database work, but most times it does none."""
    global _known
    if (found := known()) is not None:
        return found
    read_at = monotonic()
    found = Rates(
        prices={price.model: price for price in Price.objects.all()},
        budgets=list(Budget.objects.filter(is_on=True)),
    )
    _known = read_at, found
    return found


def forget() -> None:
    """Read again what is in force."""
    global _known
    _known = None


@receiver([post_save, post_delete], sender=Budget)
@receiver([post_save, post_delete], sender=Price)
def _forget_changed(**kwargs: Any) -> None:
    forget()
    transaction.on_commit(forget)  # Somebody may have read the old state meanwhile.


@receiver(setting_changed)
def _forget_database(*, setting: str, **kwargs: Any) -> None:
    if setting == "DATABASES":
        forget()

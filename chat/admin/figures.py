"""
What was used in a period: by day, model and user, and how answers went.

Each figure is one bounded query: of usage, sums of its rows; of generations,
the newest of the period.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Count, F, Q, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from chat.drawing.charts import Series
from chat.models import Generation, Rating, Usage
from chat.models.usage import NANO, UsageQuerySet, today

MODELS, USERS, CURRENCIES, RATED = 5, 10, 4, 10
NEWEST = 10_000  # At most so many answers are looked at one by one.


@dataclass(frozen=True)
class Period:
    """Some days, of which today is the last."""

    length: int

    @cached_property
    def days(self) -> list[date]:
        last = today()
        return [last - timedelta(days=n) for n in reversed(range(self.length))]

    @property
    def usage(self) -> UsageQuerySet:
        rows: UsageQuerySet = Usage.objects.since(self.days[0])
        return rows.order_by()

    def tokens(self) -> list[Series]:
        """Return the tokens of each day, in and out together, of the most used models."""
        amount = Sum(F("input_tokens") + F("output_tokens"))
        models = self.usage.values("model").annotate(amount=amount).order_by("-amount", "model")
        names = [row["model"] for row in models[:MODELS]]
        named = self.usage.filter(model__in=names).values("day", "model").annotate(amount=amount)
        found = {(row["model"], row["day"]): row["amount"] for row in named}
        totals = dict(self.usage.values("day").annotate(amount=amount).values_list("day", "amount"))
        series = [Series(name, [found.get((name, day), 0) for day in self.days]) for name in names]
        rest = [
            totals.get(day, 0) - sum(found.get((name, day), 0) for name in names)
            for day in self.days
        ]
        return [*series, Series(_("Other models"), rest)] if any(rest) else series

    def users(self) -> list[tuple[str, int]]:
        """Return who used most, and how many tokens."""
        name = f"user__{get_user_model().USERNAME_FIELD}"
        amount = Sum(F("input_tokens") + F("output_tokens"))
        rows = self.usage.values_list("user", name).annotate(amount=amount).order_by("-amount")
        return [
            (str(name) if user else _("Deleted accounts"), amount)
            for user, name, amount in rows[:USERS]
        ]

    def costs(self) -> list[Series]:
        """Return the cost of each day in each currency."""
        priced = self.usage.exclude(currency="")
        sums = priced.values("day", "currency").annotate(amount=Sum("cost"))
        found = {(row["currency"], row["day"]): row["amount"] / NANO for row in sums}
        currencies = sorted({currency for currency, _day in found})[:CURRENCIES]
        return [
            Series(currency, [found.get((currency, day), 0.0) for day in self.days])
            for currency in currencies
        ]

    def ratings(self) -> list[tuple[str, int, int]]:
        """Return the models rated most, and how often each was called good and bad."""
        since = Rating.objects.filter(updated_at__gte=self.begin).order_by()
        good, bad = (Count("pk", filter=Q(value=value)) for value in Rating.Value.values)
        rows = since.values_list("message__generation__model").annotate(
            good=good, bad=bad, count=Count("pk")
        )
        most = rows.order_by("-count", "message__generation__model")[:RATED]
        return [(name or _("Unknown model"), good, bad) for name, good, bad, _count in most]

    @property
    def begin(self) -> datetime:
        """The moment at which the first of the days begins, in the site's time zone."""
        zone = timezone.get_default_timezone()
        return timezone.make_aware(datetime.combine(self.days[0], time()), zone)

    @cached_property
    def answers(self) -> Sequence[tuple[str, datetime | None, datetime | None]]:
        """Return status, start and first token of the newest generations."""
        rows = Generation.objects.filter(pk__gte=_first_id(self.begin)).order_by("-pk")
        return list(rows.values_list("status", "started_at", "first_delta_at")[:NEWEST])

    @property
    def is_cut(self) -> bool:
        return len(self.answers) == NEWEST

    def statuses(self) -> list[tuple[str, int]]:
        """Return how many answers are in each status that any is in."""
        counts = Counter(status for status, _started, _first in self.answers)
        return [(str(s.label), counts[s]) for s in Generation.Status if counts[s]]

    def waits(self) -> list[Series]:
        """Return the seconds until the first token, by day: of the middle one, and of 95 %."""
        by_day: dict[date, list[float]] = {day: [] for day in self.days}
        for _status, started, first in self.answers:
            if started and first and (day := today(started)) in by_day:
                by_day[day].append((first - started).total_seconds())
        waits = [sorted(each) for each in by_day.values()]
        return [
            Series(f"p{share}", [percentile(each, share) if each else None for each in waits])
            for share in (50, 95)
        ]


def percentile(ordered: Sequence[float], share: int) -> float:
    """Return the least of some values that ``share`` percent of them do not exceed."""
    return ordered[max(-(-len(ordered) * share // 100), 1) - 1]


def _first_id(moment: datetime) -> UUID:
    """Return an id below all that were made from a moment on: ids begin with the time."""
    return UUID(int=int(moment.astimezone(UTC).timestamp() * 1000) << 80)

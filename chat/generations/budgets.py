"""
Budgets: what is left of them when a prompt arrives, and while its answer is written.

What has been used is the usage, plus what the answers being written have used
so far, in whichever process. Each of them says so, and looks, once a second;
in between it counts by itself. So a budget is overspent by no more than one
read of each running answer, and what the others have written within a second.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.utils import timezone

from chat.background import spawn
from chat.database import in_database, in_transaction
from chat.errors import BudgetSpent, ChatError
from chat.generations import rates, usage
from chat.generations.turns import Run
from chat.llm.pieces import Piece
from chat.models import Budget, Spending, Usage
from chat.models.budgets import MILLION
from chat.models.usage import NANO, SpentQuerySet

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a budget has been used."""

    budget: Budget
    spent: int

    @property
    def left(self) -> int:
        return self.budget.limit - self.spent

    @property
    def is_low(self) -> bool:
        soft = self.budget.soft_limit
        return soft is not None and self.spent >= soft

    @property
    def percent(self) -> int:
        limit = self.budget.limit
        return min(self.spent * 100 // limit, 100) if limit else 100


def check(user_id: Any, model: str) -> None:
    """Raise BudgetSpent if nothing is left for a prompt. Part of a unit of database work."""
    if applying := _applying(user_id, model):
        _refuse_spent(_standings(applying, user_id))


def standings(user_id: Any, model: str) -> list[Standing]:
    """Return how the budgets stand that apply to a user and a model."""
    return _standings(_applying(user_id, model), user_id)


async def guard(run: Run) -> "Guard | None":
    """
    Return what watches the budgets of an answer that is about to be written, None without any.

    Raise BudgetSpent if nothing is left.
    """
    known = rates.known()
    if known is not None and not known.budgets:
        return None
    applying = await in_database(_applying, run.owner_id, run.model)
    if not applying:
        return None
    made = Guard(run, applying)
    _refuse_spent(await made.look())
    return made


class Guard:
    """Counts what one answer uses, and knows when a budget is spent."""

    def __init__(self, run: Run, applying: Sequence[Budget]) -> None:
        self._run = run
        self._budgets = applying
        self._length = 0
        self._usage: dict[str, int] | None = None
        self._left = 0.0  # Tokens, by what was found at the last look.
        self._written = 0  # Tokens, at that look.
        self._looked_at = 0.0
        self._is_looking = False
        self._told: set[int] = set()
        self._low: list[Standing] = []

    def count(self, piece: Piece) -> bool:
        """Count a piece. Return whether nothing is left. Never waits."""
        self._length += len(piece.text) + len(piece.reasoning)
        self._usage = dict(piece.usage) if piece.usage else self._usage
        if monotonic() - self._looked_at >= LOOK_SECONDS and not self._is_looking:
            self._is_looking = True
            spawn(self._look_again())
        return usage.tokens_of(self._length) - self._written >= self._left

    def notices(self) -> Iterator[dict[str, Any]]:
        """Yield the data of events that warn, each budget's once."""
        while self._low:
            yield _notice(self._low.pop(0))

    async def look(self) -> list[Standing]:
        """Say what this answer has used, and find what all have."""
        written = usage.tokens_of(self._length)
        found = await in_transaction(self._say_and_find, written)
        self._looked_at = monotonic()
        self._written = written
        self._left = min(self._tokens_left(each) for each in found)
        for each in found:
            if each.is_low and each.budget.pk not in self._told:
                self._told.add(each.budget.pk)
                self._low.append(each)
        return found

    async def _look_again(self) -> None:
        try:
            await self.look()
        except (ChatError, IntegrityError) as exc:
            # A busy database, or an answer that was deleted: it is counted here meanwhile.
            logger.info("The budgets of %s were not looked at: %s", self._run.generation_id, exc)
            self._looked_at = monotonic()
        finally:
            self._is_looking = False

    def _say_and_find(self, written: int) -> list[Standing]:
        run, counted = self._run, self._usage or {}
        used = usage.priced(
            run,
            counted.get("input_tokens", usage.prompt_tokens(run)),
            max(counted.get("output_tokens", 0), written),
            is_estimate=True,
        )
        row = Spending(
            generation_id=run.generation_id,
            user_id=run.owner_id,
            model=run.model,
            currency=used.currency,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            cost=used.cost,
        )
        changed = ["currency", "input_tokens", "output_tokens", "cost"]
        Spending.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["generation"], update_fields=changed
        )
        return _standings(self._budgets, run.owner_id)

    def _tokens_left(self, standing: Standing) -> float:
        if standing.budget.unit == Budget.Unit.TOKENS:
            return standing.left
        price = rates.read_before().price_of(self._run.model)
        each = float(price.output_price) * NANO / MILLION if price else 0.0
        if standing.left <= 0:
            return 0
        return standing.left / each if each else float("inf")


def sweep() -> None:
    """Delete what answers that have ended said of themselves. A unit for `in_transaction()`."""
    Spending.objects.exclude(pk__in=Spending.objects.running().values("pk")).delete()


def _applying(user_id: Any, model: str) -> list[Budget]:
    in_force = [each for each in rates.rates().budgets if each.model in ("", model)]
    groups: set[Any] = set()
    if any(each.scope == Budget.Scope.GROUP for each in in_force):
        people = get_user_model()._default_manager.filter(pk=user_id)
        groups = set(people.values_list("groups", flat=True))
    return [each for each in in_force if _is_for(each, user_id, groups)]


def _is_for(budget: Budget, user_id: Any, groups: set[Any]) -> bool:
    match budget.scope:
        case Budget.Scope.USER:
            return bool(budget.user_id == user_id)
        case Budget.Scope.GROUP:
            return budget.group_id in groups
    return True


def _standings(budgets: Sequence[Budget], user_id: Any) -> list[Standing]:
    return [Standing(each, _spent(each, user_id)) for each in budgets]


def _spent(budget: Budget, user_id: Any) -> int:
    finished = _counted(Usage.objects.since(budget.begin()), budget, user_id).totals()
    running = _counted(Spending.objects.running(), budget, user_id).totals()
    names = ["cost"] if budget.unit == Budget.Unit.MONEY else ["input_tokens", "output_tokens"]
    return sum(finished[name] + running[name] for name in names)


def _counted(rows: SpentQuerySet, budget: Budget, user_id: Any) -> SpentQuerySet:
    match budget.scope:
        case Budget.Scope.USER | Budget.Scope.EACH:
            rows = rows.filter(user_id=user_id)
        case Budget.Scope.GROUP:
            rows = rows.filter(user__groups=budget.group_id)
    if budget.model:
        rows = rows.filter(model=budget.model)
    return rows.filter(currency=budget.currency) if budget.unit == Budget.Unit.MONEY else rows


def _refuse_spent(found: Sequence[Standing]) -> None:
    spent = [each.budget for each in found if each.left <= 0]
    if not spent:
        return
    # The last one to be renewed: before that, nothing can be had.
    never = [each for each in spent if each.renews_at() is None]
    budget = never[0] if never else max(spent, key=lambda each: each.renews_at() or timezone.now())
    renews_at = budget.renews_at()
    wait = (renews_at - timezone.now()).total_seconds() if renews_at else None
    raise BudgetSpent(f"The budget “{budget.name}” is spent. {_renewal(budget)}", retry_after=wait)


def _renewal(budget: Budget) -> str:
    renews_at = budget.renews_at()
    if renews_at is None:
        return "It is not renewed; ask an administrator."
    return f"It is renewed at {renews_at:%Y-%m-%d %H:%M %Z}."


def _notice(standing: Standing) -> dict[str, Any]:
    name, percent = standing.budget.name, standing.percent
    return {
        "code": "budget_low",
        "message": f"{percent} % of the budget “{name}” is used. {_renewal(standing.budget)}",
        "budget": name,
        "percent": percent,
    }

"""
Running the rules of retention: what they would take, and taking it.

A conversation at a time, each a transaction of its own and looked at again under
its lock: a run may be cut off anywhere and be begun again, and the site goes on meanwhile.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Count, Max, Min, Sum
from django.utils import timezone

from chat.database import in_database, in_transaction
from chat.errors import ChatError, Overloaded
from chat.failpoints import reach
from chat.generations.notify import notify_conversation
from chat.generations.removal import delete_for_good
from chat.models import (
    Attachment,
    Conversation,
    ConversationQuerySet,
    Message,
    RetentionRule,
    Step,
)
from chat.models.logs import Timing
from chat.models.retention import end_of_hold

logger = logging.getLogger(__name__)

ROWS = 100  # At most so many conversations between two looks at the rule.
TURN_SECONDS = 30.0  # A process's other housekeeping waits at most so long for the rules.
OWNERS = 50
TITLES = 10
COUNTED = ("conversations", "messages", "files", "bytes", "steps")


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a rule would take now."""

    rule: RetentionRule
    amounts: Counter[str]  # By the names of COUNTED; bytes are those of files.
    oldest: datetime | None = None  # When they were used last.
    newest: datetime | None = None
    owners: list[tuple[str, int]] = field(default_factory=list)  # Those with most, first.
    owners_in_all: int = 0
    sample: list[Conversation] = field(default_factory=list)  # Those unused for longest.

    def __bool__(self) -> bool:
        return self.amounts["conversations"] > 0


@dataclass(frozen=True)
class Run:
    """What a run has taken, and whether it has come to the end."""

    taken: Counter[str]
    is_finished: bool


def preview(rule: RetentionRule) -> Preview:
    """Return what a rule would take. Changes nothing. A unit of database work."""
    found = rule.conversations().order_by()
    amounts = amounts_of(rule, found)
    if not amounts["conversations"]:
        return Preview(rule=rule, amounts=amounts)
    username = f"owner__{get_user_model().USERNAME_FIELD}"
    owners = found.values_list(username).annotate(count=Count("pk")).order_by("-count", username)
    times = found.aggregate(oldest=Min("updated_at"), newest=Max("updated_at"))
    return Preview(
        rule=rule,
        amounts=amounts,
        **times,
        owners=[(str(name), count) for name, count in owners[:OWNERS]],
        owners_in_all=found.aggregate(count=Count("owner", distinct=True))["count"],
        sample=list(found.select_related("owner").order_by("updated_at", "pk")[:TITLES]),
    )


def amounts_of(rule: RetentionRule, found: ConversationQuerySet) -> Counter[str]:
    """Count what a rule takes of conversations."""
    ids = found.order_by().values("pk")
    amounts = Counter(dict.fromkeys(COUNTED, 0))
    amounts["conversations"] = found.count()
    if rule.takes == rule.Takes.CONVERSATIONS:
        amounts["messages"] = Message.objects.filter(conversation__in=ids).count()
    if rule.takes != rule.Takes.TRACES:
        files = Attachment.objects.filter(message__conversation__in=ids).order_by()
        sums = files.aggregate(count=Count("pk"), size=Sum("size"))
        amounts |= Counter(files=sums["count"], bytes=sums["size"] or 0)
    if rule.takes != rule.Takes.FILES:
        amounts["steps"] = Step.objects.filter(generation__conversation__in=ids).count()
    return amounts


async def run_due() -> None:
    """Run the rules whose day it is, for `TURN_SECONDS`; the next time goes on. Any process may."""
    begun = monotonic()
    for rule in await in_database(_due):
        left = TURN_SECONDS - (monotonic() - begun)
        if left <= 0:
            return
        try:
            run = await run_rule(rule, seconds=left)
        except ChatError as exc:
            logger.warning("The retention rule %s was not run to its end: %s", rule, exc)
            continue
        if run.taken["conversations"]:
            logger.info("The retention rule %s took %s", rule, dict(run.taken))


async def run_rule(rule: RetentionRule, *, seconds: float = float("inf")) -> Run:
    """
    Take what a rule takes, whether it is on or not, until nothing is left or the time is over.

    Ends early, too, when somebody changes the rule meanwhile. Raise Overloaded if another process
    runs it.
    """
    if not await in_transaction(RetentionRule.objects.hold, rule.pk):
        raise Overloaded(f"The rule “{rule}” is being run by another process.", retry_after=60)
    deadline = monotonic() + seconds
    taken: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    is_finished = False
    try:
        terms, after = await in_database(lambda: rule.terms), UUID(int=0)
        while ids := await in_transaction(_next, rule.pk, terms, after):
            for conversation_id in ids:
                if monotonic() >= deadline:
                    return Run(taken, is_finished)
                taken += await _take(rule, conversation_id)
                reach("during-retention")
            after = ids[-1]
        is_finished = ids is not None
    finally:
        await in_transaction(_let_go, rule.pk, taken, is_finished=is_finished)
    return Run(taken, is_finished)


async def _take(rule: RetentionRule, conversation_id: UUID) -> Counter[str]:
    owner_id, taken = await in_transaction(_take_rows, rule, conversation_id)
    if taken and rule.takes == rule.Takes.CONVERSATIONS:
        await notify_conversation(owner_id, conversation_id, "deleted")
    return taken


def _due() -> list[RetentionRule]:
    return list(RetentionRule.objects.due().order_by("last_run_at", "pk"))


def _next(pk: Any, terms: str, after: UUID) -> list[UUID] | None:
    """Return the next ids, and stay the one who runs the rule. None if it is another rule now."""
    rule = RetentionRule.objects.filter(pk=pk).first()
    if rule is None or rule.terms != terms:
        return None
    RetentionRule.objects.filter(pk=pk).update(held_until=end_of_hold())
    rows = rule.conversations().filter(pk__gt=after).order_by("pk")
    return list(rows.values_list("pk", flat=True)[:ROWS])


def _take_rows(rule: RetentionRule, conversation_id: UUID) -> tuple[Any, Counter[str]]:
    # The lock first: who sends a prompt at this moment comes before, and is seen, or after.
    row = Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    found = rule.conversations().filter(pk=conversation_id)
    if row is None or not found.exists():
        return None, Counter()
    taken = amounts_of(rule, Conversation.objects.filter(pk=conversation_id))
    match rule.takes:
        case rule.Takes.FILES:
            files = Attachment.objects.filter(message__conversation=row)
            files.delete()
            Message.objects.filter(conversation=row, attached__gt=0).update(attached=0)
        case rule.Takes.TRACES:
            Step.objects.filter(generation__conversation=row).delete()
            Timing.objects.filter(generation__conversation=row).delete()
        case _:
            row.deleted_at = timezone.now()
            row.save(update_fields=["deleted_at"])
            delete_for_good(conversation_id)
    return row.owner_id, taken


def _let_go(pk: Any, taken: Counter[str], *, is_finished: bool) -> None:
    changes: dict[str, Any] = {"held_until": None, "last_taken": dict(taken)}
    if is_finished:
        changes["last_run_at"] = timezone.now()
    RetentionRule.objects.filter(pk=pk).update(**changes)

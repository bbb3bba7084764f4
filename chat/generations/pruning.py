"""What is over and deleted by itself, all at once: for a command, beside what processes do."""

from datetime import timedelta
from functools import partial

from django.utils import timezone

from chat.conf import chat_settings
from chat.database import in_database, in_transaction
from chat.eventlog import storage
from chat.generations import budgets
from chat.generations.attachments import prune_unsent
from chat.generations.removal import purge_deleted
from chat.models import Attachment, Conversation, Spending, StoredEvent

LOGS = 200  # At most so many in one transaction.


def over() -> dict[str, int]:
    """Return how many of what is over. A unit of database work."""
    return {
        "deleted or temporary conversations": Conversation.objects.due().count(),
        "files that were not sent": Attachment.objects.forgotten().count(),
        "expired event logs": _expired_logs(),
        "estimates of ended answers": _ended_estimates(),
    }


async def prune_over() -> dict[str, int]:
    """Delete what is over. Return how many of what."""
    before = await in_database(over)
    await in_transaction(prune_unsent)
    await _purge_all()
    retention = chat_settings().retention_seconds
    delete = partial(storage.delete_expired, retention, limit=LOGS)
    while await in_transaction(delete):
        pass
    await in_transaction(budgets.sweep)
    after = await in_database(over)
    return {what: max(0, number - after[what]) for what, number in before.items()}


async def _purge_all() -> None:
    left = await in_database(Conversation.objects.due().count)
    while left:
        await purge_deleted()
        before, left = left, await in_database(Conversation.objects.due().count)
        if left >= before:
            return  # What cannot be deleted yet is met again another time.


def _expired_logs() -> int:
    before = timezone.now() - timedelta(seconds=chat_settings().retention_seconds)
    return StoredEvent.objects.filter(cursor=1, generation__ended_at__lt=before).count()


def _ended_estimates() -> int:
    return Spending.objects.exclude(pk__in=Spending.objects.running().values("pk")).count()

"""
Deleting conversations in two steps: gone for everybody at once, and for good later.

In between, their owner can have one back. Temporary ones end by themselves.
"""

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from chat.database import in_database, in_transaction
from chat.errors import ChatError, NotFound
from chat.generations import stop_generation
from chat.generations.attachments import prune_unsent
from chat.generations.notify import notify_conversation
from chat.models import Conversation, Generation

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger(__name__)

PURGE_ROWS = 100  # At most so many conversations at once; the next time takes the next.


async def delete_conversation(
    user: "AbstractBaseUser", conversation_id: UUID, *, permanently: bool = False
) -> None:
    """
    Delete a conversation; what runs in it is stopped.

    Nobody finds it any more. Unless ``permanently``, or if it is temporary, it can
    be restored for `UNDO_TIME`. Raise NotFound.
    """
    temporary = await in_transaction(_delete, user, conversation_id)
    await _stop_all(conversation_id)
    if permanently or temporary:
        await in_transaction(delete_for_good, conversation_id)
    await notify_conversation(user.pk, conversation_id, "deleted")


async def restore_conversation(user: "AbstractBaseUser", conversation_id: UUID) -> Conversation:
    """Bring back what was deleted a moment ago. Raise NotFound if it is too late for that."""
    try:
        return await in_transaction(_restore, user, conversation_id)
    except IntegrityError:
        # Its client has begun another of the same name, or it was imported again.
        return await in_transaction(_restore, user, conversation_id, nameless=True)


async def purge_deleted() -> int:
    """
    Delete for good what was deleted `UNDO_TIME` ago, and temporary conversations that are over.

    So are files that nobody has sent for a day.

    Return how many conversations. May be called at any time, by any process.
    """
    await in_transaction(prune_unsent)
    due = await in_database(_due)
    for conversation_id, owner_id, temporary in due:
        try:
            await _stop_all(conversation_id)
            await in_transaction(delete_for_good, conversation_id)
        except ChatError as exc:
            logger.warning("Conversation %s is not deleted yet: %s", conversation_id, exc)
            continue
        if temporary:
            await notify_conversation(owner_id, conversation_id, "deleted")
    return len(due)


async def _stop_all(conversation_id: UUID) -> None:
    # The last first: a queued one must not start because the one before it was stopped.
    for generation in await in_database(_active, conversation_id):
        await stop_generation(generation)


def _active(conversation_id: UUID) -> list[Generation]:
    active = Generation.objects.active().filter(conversation_id=conversation_id)
    return list(active.order_by("-message_id"))


def _delete(user: "AbstractBaseUser", conversation_id: UUID) -> bool:
    # First of all: what is marked takes no further prompt.
    owned = Conversation.objects.owned_by(user).select_for_update()
    conversation = owned.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=["deleted_at"])
    return conversation.temporary


def delete_for_good(conversation_id: UUID) -> None:
    """Delete a conversation that is marked as deleted, with all that hangs on it. A unit."""
    # Looked at again: it may have been restored, or used, since it was found.
    gone = Conversation.objects.gone().select_for_update()
    for conversation in gone.filter(pk=conversation_id):
        conversation.delete()


def _restore(
    user: "AbstractBaseUser", conversation_id: UUID, *, nameless: bool = False
) -> Conversation:
    mine = Conversation.objects.restorable_by(user).select_for_update()
    conversation = mine.filter(pk=conversation_id).first()
    if conversation is None:
        raise NotFound
    conversation.deleted_at = None
    if nameless:
        conversation.client_id = conversation.content_key = None
    conversation.save(update_fields=["deleted_at", "client_id", "content_key"])
    return conversation


def _due() -> list[tuple[UUID, object, bool]]:
    rows = Conversation.objects.due().values_list("pk", "owner_id", "temporary")
    return list(rows.order_by("deleted_at")[:PURGE_ROWS])

"""Rating answers: one's own, once each, changed and taken back at will."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_noop

from chat.database import in_transaction
from chat.errors import BadRequest, NotFound
from chat.generations.notify import notify_conversation
from chat.models import Message, Rating
from chat.models.ratings import MAX_COMMENT, reasons_for

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


async def rate(
    user: "AbstractBaseUser",
    message_id: UUID,
    *,
    value: int,
    reasons: Sequence[str] = (),
    comment: str = "",
) -> Rating:
    """
    Rate one's answer, in the place of what one thought of it before; other tabs are told.

    Raise NotFound, and BadRequest for what is no answer that has ended, for reasons that
    do not go with the value and for a comment that is too long.
    """
    if value not in Rating.Value.values:
        raise BadRequest(gettext_noop("value: say 1 for good or -1 for bad."))
    if len(kept := reasons_for(value, reasons)) != len(set(reasons)):
        raise BadRequest(gettext_noop("reasons: not all of them go with this value."))
    if len(comment := comment.strip()) > MAX_COMMENT:
        raise BadRequest(f"comment: it has at most {MAX_COMMENT} characters.")
    fields: dict[str, Any] = {"value": value, "reasons": kept, "comment": comment}
    try:
        rating = await in_transaction(_save, user, message_id, fields)
    except IntegrityError:  # It was rated elsewhere at this very moment: the later one counts.
        rating = await in_transaction(_save, user, message_id, fields)
    await _tell(user, rating.message)
    return rating


async def remove_rating(user: "AbstractBaseUser", message_id: UUID) -> Message:
    """Take back what one thought of one's answer, if anything, and return it. Raise NotFound."""
    answer, was_rated = await in_transaction(_remove, user, message_id)
    if was_rated:
        await _tell(user, answer)
    return answer


def find_message(user: "AbstractBaseUser", message_id: UUID) -> Message:
    """Return a user's message, with its generation and rating if it has any. Raise NotFound."""
    owned = Message.objects.owned_by(user).select_related("generation", "rating")
    found = owned.filter(pk=message_id).first()
    if found is None:
        raise NotFound
    return found


def may_be_rated(message: Message) -> bool:
    """Tell whether a message is an answer that has ended; one that was imported may have no run."""
    generation = getattr(message, "generation", None)
    has_ended = generation is None or generation.is_terminal
    return message.role == Message.Role.ASSISTANT and has_ended


def _save(user: "AbstractBaseUser", message_id: UUID, fields: dict[str, Any]) -> Rating:
    message = find_message(user, message_id)
    if not may_be_rated(message):
        raise BadRequest(gettext_noop("Only an answer that has ended can be rated."))
    changed = {**fields, "owner_id": user.pk, "updated_at": timezone.now()}
    rating, _ = Rating.objects.update_or_create(message=message, defaults=changed)
    rating.message = message  # Known, for whoever is not to ask the database.
    return rating


def _remove(user: "AbstractBaseUser", message_id: UUID) -> tuple[Message, bool]:
    message = find_message(user, message_id)
    count, _ = Rating.objects.owned_by(user).filter(message=message).delete()
    return message, bool(count)


async def _tell(user: "AbstractBaseUser", message: Message) -> None:
    await notify_conversation(user.pk, message.conversation_id, "updated", rated=str(message.pk))

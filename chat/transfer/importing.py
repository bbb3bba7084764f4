"""Bringing conversations in: each whole or not at all, and the same one once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from chat.access import check_model, refresh
from chat.database import in_transaction
from chat.errors import BadRequest, ChatError, InternalError, UnknownModel
from chat.models import Conversation, Generation, Message, Rating
from chat.models.kept import lines_of
from chat.text import clean_text
from chat.transfer.chatgpt import is_chatgpt, read_chatgpt
from chat.transfer.ours import read_ours
from chat.transfer.threads import Thread, Turn, title_of

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger(__name__)

ROWS = 500  # At most so many in one statement.


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one item."""

    title: str
    conversation: Conversation | None = None
    is_new: bool = False
    messages: int = 0
    skipped: int = 0
    error: ChatError | None = None

    @property
    def status(self) -> str:
        if self.error is not None:
            return "failed"
        return "imported" if self.is_new else "already"


def read_thread(item: Any) -> Thread:
    """Return the conversation in an item of an export, ours or ChatGPT's. Raise BadRequest."""
    if not isinstance(item, dict):
        raise BadRequest("It is no object: this is not an export that is known here.")
    if is_chatgpt(item):
        return read_chatgpt(item)
    if isinstance(item.get("messages"), list):
        return read_ours(item)
    raise BadRequest("It has neither messages nor a mapping: this form is not known here.")


async def import_item(user: "AbstractBaseUser", item: Any) -> Outcome:
    """
    Bring in one conversation. What is wrong with it is in the outcome.

    In one transaction: it is there whole, or not at all. What its owner has
    already, imported or exported from here, is not brought in again.
    """
    title = title_of(clean_text(str(item.get("title") or ""))) if isinstance(item, dict) else ""
    try:
        thread = read_thread(item)
        await refresh()
        try:
            conversation, is_new = await in_transaction(_save, user, thread)
        except IntegrityError:  # The same came in at the same moment.
            conversation, is_new = await in_transaction(_save, user, thread)
    except ChatError as exc:
        return Outcome(title=title, error=exc)
    except Exception:
        logger.exception("A conversation could not be imported")
        return Outcome(title=title, error=InternalError())
    return Outcome(
        title=conversation.title,
        conversation=conversation,
        is_new=is_new,
        messages=len(thread.turns) if is_new else 0,
        skipped=thread.skipped if is_new else 0,
    )


def _save(user: "AbstractBaseUser", thread: Thread) -> tuple[Conversation, bool]:
    owned = Conversation.objects.owned_by(user)
    found = owned.filter(content_key=thread.content_key).first() or _exported(user, thread)
    if found is not None:
        return found, False
    now = timezone.now()
    conversation = Conversation.objects.create(
        owner_id=user.pk,
        title=thread.title,
        model=_known_model(user, thread.model),
        agent=thread.agent,
        created_at=thread.created_at,
        updated_at=thread.updated_at,
        pinned_at=now if thread.pinned else None,
        archived_at=now if thread.archived else None,
        tag_lines=lines_of(list(thread.tags)),
        content_key=thread.content_key,
    )
    messages = _messages(conversation, thread.turns)
    Message.objects.bulk_create(messages, batch_size=ROWS)
    answers = [
        Generation(owner_id=user.pk, conversation=conversation, message=message, cursor=1, **fields)
        for message, turn in zip(messages, thread.turns, strict=True)
        if (fields := turn.generation) is not None
    ]
    Generation.objects.bulk_create(answers, batch_size=ROWS)
    ratings = [
        Rating(owner_id=user.pk, message=message, **fields)
        for message, turn in zip(messages, thread.turns, strict=True)
        if (fields := turn.rating) is not None
    ]
    Rating.objects.bulk_create(ratings, batch_size=ROWS)
    return conversation, True


def _exported(user: "AbstractBaseUser", thread: Thread) -> Conversation | None:
    """Return the user's own conversation that this is an export of, if it is there still."""
    try:
        ids = {UUID(str(each)) for each in thread.message_ids}
        pk = UUID(thread.source.rpartition(" ")[2])
    except ValueError:
        return None
    conversation = Conversation.objects.owned_by(user).filter(pk=pk).first()
    if conversation is None or not ids:
        return None
    there = set(conversation.messages.values_list("pk", flat=True))
    return conversation if ids <= there else None


def _known_model(user: "AbstractBaseUser", name: str) -> str:
    # One that this site does not have, or not for them, would refuse every further prompt.
    try:
        check_model(user.pk, name)
    except UnknownModel:
        return ""
    return name


def _messages(conversation: Conversation, turns: Sequence[Turn]) -> list[Message]:
    rows: list[Message] = []
    for turn in turns:  # Their ids grow in this order: the last one ends the newest branch.
        rows.append(
            Message(
                conversation=conversation,
                parent=None if turn.parent is None else rows[turn.parent],
                role=turn.role,
                text=turn.text,
                reasoning=turn.reasoning,
                created_at=turn.created_at,
            )
        )
    return rows

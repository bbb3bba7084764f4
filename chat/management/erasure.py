"""Deleting all that a site has of one user."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.apps import apps
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Model, Q

from chat.errors import ChatError
from chat.generations import stop_generation
from chat.models import ApiKey, Conversation, Generation, Message, Persona, Share, search_index

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

ROWS = 100  # At most so many conversations in one transaction.
ERASED = "–"


def erase(user: "AbstractBaseUser") -> Counter[str]:
    """
    Delete a user and all that is theirs. Return how many of what.

    Sums of usage stay without the name, and so do notes of what others did with
    what was theirs. May be run again if it was cut off.
    """
    done: Counter[str] = Counter()
    # First of all: who is not active sends no further prompt.
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=False)
    done["answers stopped"] = _stop_all(user)
    while ids := _some_conversations(user):
        with transaction.atomic():
            _forget_names(_rows_of(ids), done)
            counted = Conversation.objects.filter(pk__in=ids).delete()[1]
        done.update({_name_of(label): count for label, count in counted.items()})
    with transaction.atomic():
        keys = list(ApiKey.objects.filter(owner_id=user.pk).values_list("pk"))
        personas = list(Persona.objects.filter(owner_id=user.pk).order_by().values_list("pk"))
        theirs: list[tuple[type[Model], list[Any]]]
        theirs = [(ApiKey, keys), (Persona, personas), (type(user), [(user.pk,)])]
        _forget_names(theirs, done)
        done["sessions"] = _end_sessions(user)
        counted = user.delete()[1]
    done.update({_name_of(label): count for label, count in counted.items()})
    search_index.tidy(connection)
    return done


def _stop_all(user: "AbstractBaseUser") -> int:
    # The last first: a queued one must not start because the one before it was stopped.
    active = Generation.objects.active().filter(owner_id=user.pk).order_by("-pk")
    return sum(async_to_sync(_stop)(each) for each in list(active))


async def _stop(generation: Generation) -> bool:
    try:
        ended = await stop_generation(generation)
    except ChatError:
        return False  # Nobody answers: what runs is deleted with its conversation.
    return ended.status == Generation.Status.STOPPED


def _some_conversations(user: "AbstractBaseUser") -> list[UUID]:
    rows = Conversation.objects.filter(owner_id=user.pk).order_by()
    return list(rows.values_list("pk", flat=True)[:ROWS])


def _rows_of(ids: list[UUID]) -> Iterable[tuple[type[Model], list[Any]]]:
    yield Conversation, [(pk,) for pk in ids]
    for model in (Message, Generation, Share):
        rows = model._default_manager.filter(conversation__in=ids).order_by()
        yield model, list(rows.values_list("pk"))


def _forget_names(rows: Iterable[tuple[type[Model], list[Any]]], done: Counter[str]) -> None:
    """Take out of the admin's log what it calls objects: titles, words and names."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.models import LogEntry

    for model, ids in rows:
        names = [str(pk) for (pk,) in ids]
        kind = ContentType.objects.get_for_model(model)
        for start in range(0, len(names), ROWS):
            some = Q(content_type=kind, object_id__in=names[start : start + ROWS])
            changes = {"object_repr": ERASED, "change_message": ""}
            done["notes without the name"] += LogEntry.objects.filter(some).update(**changes)


def _end_sessions(user: "AbstractBaseUser") -> int:
    """End the sessions of a user that stand in the database, where they do."""
    if not apps.is_installed("django.contrib.sessions"):
        return 0
    from django.contrib.sessions.models import Session

    theirs = [
        row.pk
        for row in Session.objects.iterator()
        if row.get_decoded().get(SESSION_KEY) == str(user.pk)
    ]
    for start in range(0, len(theirs), ROWS):
        Session.objects.filter(pk__in=theirs[start : start + ROWS]).delete()
    return len(theirs)


def _name_of(label: str) -> str:
    return str(apps.get_model(label)._meta.verbose_name_plural)

"""
Which models there are, and for whom: what staff have defined, read every few seconds.

A model of a group that somebody is not in does not exist for them, on every
transport alike. A change is in force at once in the process that made it, and in
those that hear of it over the bus; in any other after some seconds.
"""

import logging
from time import monotonic
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from chat.bus import BaseBus, bus
from chat.database import in_database
from chat.errors import ChatError
from chat.llm import served
from chat.llm.registry import ModelInfo, available_models, check_model_name, usable_default
from chat.llm.served import Catalogue, Groups
from chat.models import ServedModel

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

logger = logging.getLogger(__name__)

LIFE_SECONDS = 5.0
EARLY_SECONDS = 2.5  # As old as that, who watches reads it again: then nobody else has to.
MOST_USERS = 10_000  # Whose groups are known; past them, all are looked up anew.
TOPIC = "models"

_read_at: float | None = None
_changes = 0
_groups: dict[Any, tuple[float, frozenset[Any]]] = {}
_heard: BaseBus | None = None


async def refresh(*, life: float = LIFE_SECONDS) -> None:
    """
    See to it that what is in force is known. Most times this does no database work.

    Raise as in_database() does, where nothing was ever known.
    """
    global _read_at
    now = monotonic()
    if _read_at is not None and now - _read_at <= life:
        return
    was_known, changes = _read_at is not None, _changes
    if was_known:
        _read_at = now  # Meanwhile the others go by what was known a moment ago.
    try:
        _put(await in_database(ServedModel.objects.catalogue), read_at=now, changes=changes)
    except ChatError:
        if not was_known:
            raise
        logger.warning("The models that staff have defined were not read again")


def _put(found: Catalogue, *, read_at: float, changes: int) -> None:
    global _read_at
    served.put(found)
    # What has changed since then may not be in it.
    _read_at = read_at if changes == _changes else None


def forget() -> None:
    """Have it read again: models, groups or their members have changed."""
    global _read_at, _changes
    _changes += 1
    _read_at = None
    _groups.clear()


def reset() -> None:
    """Know nothing, as a new process does."""
    forget()
    served.put(served.NONE)


def changed() -> None:
    """See forget(), for all processes."""
    forget()
    bus().publish_soon(TOPIC)


def hear() -> None:
    """Listen to what other processes change. Once; in tests, for each new bus."""
    global _heard
    if _heard is not bus():
        _heard = bus()
        _heard.subscribe(TOPIC, lambda message: forget())


def groups_of(user_id: Any) -> Groups:
    """
    Return the groups by which somebody may use models; None where no model asks for any.

    A unit of database work, but most times it does none.
    """
    if not served.catalogue().is_limited:
        return None
    if (known := _known_groups(user_id)) is not None:
        return known
    read_at, changes = monotonic(), _changes
    users = get_user_model()._default_manager.filter(pk=user_id)
    found = frozenset(users.exclude(groups=None).values_list("groups", flat=True))
    if changes == _changes:
        if len(_groups) >= MOST_USERS:
            _groups.clear()
        _groups[user_id] = read_at, found
    return found


def _known_groups(user_id: Any) -> frozenset[Any] | None:
    known = _groups.get(user_id)
    return known[1] if known and monotonic() - known[0] <= LIFE_SECONDS else None


async def find_groups(user_id: Any) -> Groups:
    """See groups_of(); by what is in force now."""
    await refresh()
    if not served.catalogue().is_limited:
        return None
    known = _known_groups(user_id)
    return await in_database(groups_of, user_id) if known is None else known


def check_model(user_id: Any, name: str) -> None:
    """Raise UnknownModel for a model that is not there for a user. See groups_of()."""
    check_model_name(name, groups_of(user_id))


async def check_choice(user: "AbstractBaseUser", name: str) -> None:
    """Raise UnknownModel for a model that a user cannot choose; no name is the default's."""
    groups = await find_groups(user.pk)
    if name:
        check_model_name(name, groups)


async def models_for(user: "AbstractBaseUser") -> list[ModelInfo]:
    """Return the models that a user can choose from, the default first."""
    return await available_models(await find_groups(user.pk))


async def default_for(user: "AbstractBaseUser") -> str:
    """Return the model for a user who names none."""
    return await usable_default(await find_groups(user.pk))


async def ask_for(user_id: Any) -> None:
    """Let what this task asks of models be asked for a user, who may not use them all."""
    served.asking.set(await find_groups(user_id))

"""What the admin's log says of a user and of what is theirs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db.models import Model

from chat.transfer.belongings import belongings

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

ROWS = 200


def notes_about(user: "AbstractBaseUser") -> Iterator[dict[str, Any]]:
    """
    Yield what others did with an account and what is its user's, as far as the objects exist.

    Who they were is not said: that is theirs.
    """
    if not apps.is_installed("django.contrib.admin"):
        return
    yield from _notes(get_user_model(), {"pk": user.pk}, user)
    for each in belongings():
        if each.label != "admin.LogEntry":
            yield from _notes(each.model, {each.owner: user.pk}, user)


def _notes(
    model: type[Model], theirs: dict[str, Any], user: "AbstractBaseUser"
) -> Iterator[dict[str, Any]]:
    from django.contrib.admin.models import LogEntry

    after = 0
    kind = ContentType.objects.get_for_model(model)
    entries = LogEntry.objects.filter(content_type=kind).exclude(user_id=user.pk).order_by("pk")
    while page := list(entries.filter(pk__gt=after)[:ROWS]):
        after = page[-1].pk
        keys = {each.pk: _key_of(model, each.object_id) for each in page}
        known = [key for key in keys.values() if key is not None]
        found = set(
            model._default_manager.filter(pk__in=known, **theirs).values_list("pk", flat=True)
        )
        for each in page:
            if keys[each.pk] in found:
                yield {
                    "time": each.action_time,
                    "model": model._meta.label,
                    "object_id": each.object_id,
                    "object": each.object_repr,
                    "action": each.get_action_flag_display(),
                    "what": each.get_change_message(),
                }


def _key_of(model: type[Model], written: str | None) -> Any:
    try:
        return model._meta.pk.to_python(written)
    except (ValidationError, TypeError, ValueError):
        return None

"""What staff did and looked at, in the log that Django's admin keeps."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.utils import timezone

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

VIEWED = "Trace viewed."
REPEAT_SECONDS = 3600  # A page that looks again by itself is one look.


def note(
    user: "AbstractBaseUser", thing: Model | type[Model], text: str, *, name: str = ""
) -> None:
    """
    Note what a user did with an object, or with the objects of a model. A unit of database work.

    A project without Django's admin has no such log; then nothing is noted.
    """
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.models import CHANGE, LogEntry

    LogEntry.objects.create(
        user_id=user.pk,
        content_type=ContentType.objects.get_for_model(thing),
        object_id=None if isinstance(thing, type) else str(thing.pk),
        object_repr=(name or str(thing))[:200],
        action_flag=CHANGE,
        change_message=text,
    )


def note_view(user: "AbstractBaseUser", instance: Model) -> None:
    """Note that somebody looked at another one's trace, once an hour. A unit of database work."""
    if not apps.is_installed("django.contrib.admin"):
        return
    from django.contrib.admin.models import LogEntry

    since = timezone.now() - timedelta(seconds=REPEAT_SECONDS)
    looked = LogEntry.objects.filter(user_id=user.pk, object_id=str(instance.pk))
    if not looked.filter(change_message=VIEWED, action_time__gt=since).exists():
        note(user, instance, VIEWED)

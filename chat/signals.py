"""What follows from events elsewhere in Django."""

from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_out
from django.db import connections, transaction
from django.db.models.signals import (
    m2m_changed,
    post_delete,
    post_migrate,
    post_save,
    pre_delete,
)
from django.dispatch import receiver
from django.http import HttpRequest

from chat import access
from chat.bus import bus
from chat.generations.watch import STOP_TOPIC
from chat.models import ApiKey, Conversation, Generation, ServedModel, search_index
from chat.readers import recheck, revoke

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.sessions.base_session import AbstractBaseSession


@receiver(user_logged_out)
def end_readers_of_session(
    *, request: HttpRequest, user: "AbstractBaseUser | None", **kwargs: Any
) -> None:
    """End whatever the session that ends has open, in every tab."""
    session = getattr(request, "session", None)
    session_key = session.session_key if session else None
    # Without a key it would be every session of the user.
    if user is not None and session_key:
        revoke(user.pk, session_key=session_key)


@receiver(post_delete, sender="sessions.Session")
def end_readers_of_deleted_session(*, instance: "AbstractBaseSession", **kwargs: Any) -> None:
    """
    End whatever a session has open that somebody else's, or a new one, takes the place of.

    Signing in over it is no sign-out to Django, and changing one's password gives it a new key.
    """
    user_id = instance.get_decoded().get(SESSION_KEY)
    if user_id is not None:
        owner = get_user_model()._meta.pk.to_python(user_id)
        transaction.on_commit(partial(revoke, owner, session_key=instance.session_key))


@receiver([post_save, post_delete], sender=ApiKey)
def recheck_key(*, instance: ApiKey, **kwargs: Any) -> None:
    """End the readers of a key that was revoked, once that is committed."""
    transaction.on_commit(partial(recheck, instance.owner_id))


@receiver([post_save, post_delete], sender=settings.AUTH_USER_MODEL)
def recheck_user(
    *, instance: "AbstractBaseUser", update_fields: frozenset[str] | None = None, **kwargs: Any
) -> None:
    """End the readers of a user who was deactivated or deleted, or has a new password."""
    if update_fields == frozenset({"last_login"}):
        return  # Who signs in anew ends nothing.
    transaction.on_commit(partial(recheck, instance.pk))


@receiver(pre_delete, sender=Group)
def limit_models_of_deleted_group(*, instance: Group, **kwargs: Any) -> None:
    """Models of a group alone are off when it goes, not everybody's."""
    ServedModel.objects.leave_group(instance)


@receiver([post_save, post_delete], sender=ServedModel)
def tell_of_changed_model(**kwargs: Any) -> None:
    """Let every process know of it, once that is committed."""
    access.forget()
    transaction.on_commit(access.changed)


@receiver(m2m_changed, sender=ServedModel.groups.through)
def tell_of_changed_groups(*, action: str, **kwargs: Any) -> None:
    """The same for who may use a model."""
    if action.startswith("post_"):
        tell_of_changed_model()


@receiver(m2m_changed)
def tell_of_changed_members(*, sender: Any, action: str, **kwargs: Any) -> None:
    """And for who is in a group. Whichever user model there is, its groups are one relation."""
    groups = getattr(get_user_model(), "groups", None)
    if action.startswith("post_") and groups is not None and sender is groups.through:
        tell_of_changed_model()


@receiver(pre_delete, sender=Generation)
def end_deleted_run(*, instance: Generation, **kwargs: Any) -> None:
    """End a run that is deleted with its conversation or its owner, whichever process has it."""
    if instance.is_terminal:
        return
    # Until the deletion is committed, its writer adds no event that would be left behind. The
    # conversation first, as whoever writes an end does: else each could wait for the other.
    Conversation.objects.select_for_update().filter(pk=instance.conversation_id).first()
    Generation.objects.select_for_update().filter(pk=instance.pk).first()
    transaction.on_commit(partial(bus().publish_soon, STOP_TOPIC, generation=str(instance.pk)))


@receiver(post_migrate, sender=apps.get_app_config("chat"))
def mend_search_index(*, using: str, **kwargs: Any) -> None:
    """Put back what keeps the index of messages, should a migration have taken it away."""
    search_index.mend(connections[using])

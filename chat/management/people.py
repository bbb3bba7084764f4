"""The user that a command names."""

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser


def find_user(username: str) -> "AbstractBaseUser":
    """Return a user. Raise CommandError if there is none of this name."""
    users = get_user_model()._default_manager
    try:
        return users.get_by_natural_key(username)
    except get_user_model().DoesNotExist:
        raise CommandError(f"There is no user {username!r}.") from None

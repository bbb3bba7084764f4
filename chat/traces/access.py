"""Who may see the trace of an answer."""

from typing import TYPE_CHECKING, Any

from chat.models import Generation, GenerationQuerySet

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

# A trace holds what was said, too.
PERMISSIONS = ("chat.view_generation", "chat.view_message")


def traceable_by(user: "AbstractBaseUser | AnonymousUser") -> GenerationQuerySet:
    """Return the answers whose traces somebody may see: their own, or as staff all."""
    if is_staff(user) and _may_view_all(user):
        return Generation.objects.all()
    return Generation.objects.owned_by(user)


def is_staff(user: Any) -> bool:
    """Tell whether somebody is shown tracebacks and the source of a site's own agents."""
    return bool(user.is_authenticated and user.is_active and getattr(user, "is_staff", False))


def _may_view_all(user: Any) -> bool:
    return bool(user.has_perms(PERMISSIONS))

"""Whether there is room for one more answer."""

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from chat.conf import chat_settings
from chat.errors import QueueFull, RateLimited
from chat.models import Generation

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

MINUTE = timedelta(minutes=1)


def too_fast(user: "AbstractBaseUser", limit: int) -> RateLimited:
    """Return the error of one who sent as many messages within a minute as are taken."""
    newest = Generation.objects.filter(owner_id=user.pk).order_by("-id")
    oldest_that_counts = newest.values_list("created_at", flat=True)[limit - 1]
    wait = (oldest_that_counts + MINUTE - timezone.now()).total_seconds()
    return RateLimited(f"At most {limit} messages a minute are taken.", retry_after=max(wait, 0))


def check_room(active: int, running: int) -> None:
    """Raise QueueFull, by what is active in the conversation, or RateLimited, by what runs."""
    if active:  # One of them runs, the others wait, and so will this one.
        if active > chat_settings().queue_limit:
            raise QueueFull(retry_after=10)
        return
    limit = chat_settings().max_running_per_user
    if running >= limit:
        raise RateLimited(
            f"{limit} answers are being written for you. Wait for one, or stop it.", retry_after=5
        )

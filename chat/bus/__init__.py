"""The bus in force: what the processes of a site tell each other."""

import functools
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.db import connection
from django.dispatch import receiver

from chat.bus.base import BaseBus

__all__ = ["BaseBus", "bus"]


# The libraries of a transport are optional, so each is imported where it is chosen.
@functools.cache
def bus() -> BaseBus:
    """Return the process's bus: over Redis if there is one, else over PostgreSQL, else its own."""
    if getattr(settings, "REDIS_URL", ""):
        from chat.bus.redis import RedisBus

        return RedisBus()
    if connection.vendor == "postgresql":
        from chat.bus.postgres import PostgresBus

        return PostgresBus()
    from chat.bus.local import LocalBus

    return LocalBus()


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in ("REDIS_URL", "DATABASES"):
        bus.cache_clear()

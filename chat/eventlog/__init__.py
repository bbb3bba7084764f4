"""The event log in force, chosen by ``CHAT["EVENT_LOG"]``."""

import functools
from typing import Any

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from chat.conf import chat_settings
from chat.eventlog.base import BaseEventLog

__all__ = ["BACKENDS", "BaseEventLog", "event_log"]

BACKENDS = {
    "memory": "chat.eventlog.memory.MemoryEventLog",
    "database": "chat.eventlog.database.DatabaseEventLog",
    "redis": "chat.eventlog.redis.RedisEventLog",
}


# One per process, not per context: Django's connection handlers give every
# task its own instance, and a log in memory must be the same for all of them.
@functools.cache
def event_log() -> BaseEventLog:
    """Return the process's event log."""
    name = chat_settings().event_log
    log: BaseEventLog = import_string(BACKENDS.get(name, name))()
    return log


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "CHAT":
        event_log.cache_clear()

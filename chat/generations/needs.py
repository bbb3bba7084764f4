"""What an engine needs of the site, for the system checks: its library may not even be there."""

import importlib.util
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connection
from django.utils.module_loading import import_string

from chat.eventlog import BaseEventLog
from chat.generations.engine import ENGINES


def what_is_missing(name: Any, log: type[BaseEventLog] | None) -> Iterator[tuple[str, str]]:
    """Yield what stands against an engine, and what helps."""
    if name == "procrastinate":
        yield from _missing_for_workers(log)
        return
    try:
        import_string(ENGINES.get(name, name))
    except (ImportError, TypeError, AttributeError):  # The last two: not even a string.
        names = ", ".join(repr(known) for known in ENGINES)
        yield "that is no engine", f"Use {names} or the dotted path of a subclass of InlineEngine."


def _missing_for_workers(log: type[BaseEventLog] | None) -> Iterator[tuple[str, str]]:
    if importlib.util.find_spec("procrastinate") is None:
        yield "that is not installed", "Install the extra 'workers'."
    elif not apps.is_installed("procrastinate.contrib.django"):
        yield "its app is not", "Add 'procrastinate.contrib.django' to INSTALLED_APPS."
    if connection.vendor != "postgresql":
        yield "the database is not PostgreSQL", "Set DATABASE_URL, or CHAT_ENGINE=inline."
    if log is not None and not log.supports_many_processes:
        hint = "Choose another CHAT['EVENT_LOG'], or the engine 'inline'."
        yield f"the event log {log.__name__} serves one process only", hint

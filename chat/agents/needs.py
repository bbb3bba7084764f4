"""What stands against an agent of the settings, for the system checks: langgraph is not loaded."""

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.module_loading import import_string

from chat.agents.registry import MAX_NAME


def what_is_wrong(name: Any, entry: Any) -> Iterator[str]:
    """
    Yield what is wrong with an entry of the setting ``AGENTS``.

    Somebody else's function is looked for, but not imported: that would load
    its libraries at every start.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        yield f"needs a name of 1 to {MAX_NAME} characters"
    options = dict(entry) if isinstance(entry, Mapping) else {"class": entry}
    path = options.pop("class", None)
    if not isinstance(path, str) or "." not in path:
        yield "names no function by its dotted path"
        return
    if not _is_there(path.rpartition(".")[0]):
        yield f"names {path!r}, whose module is not there"
    elif path.startswith("chat."):
        yield from _wrong_call(path, options)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _wrong_call(path: str, options: Mapping[str, Any]) -> Iterator[str]:
    try:
        inspect.signature(import_string(path)).bind(**options)
    except (ImportError, TypeError) as exc:
        yield f"cannot be: {exc}"

"""The values of a graph's state as plain JSON that every database can store."""

import dataclasses
import math
from collections.abc import Mapping, Set
from typing import Any

from chat.text import clean_text

MAX_DEPTH = 20
MAX_REPR = 500


def as_plain(value: Any, *, depth: int = 0) -> Any:
    """
    Return a value as dicts, lists, strings, numbers, booleans and None.

    Messages, models and dataclasses become dicts; of anything else its
    ``repr()`` is left, shortened.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < MAX_DEPTH:
        depth += 1
        if (fields := _fields(value)) is not None:
            return {clean_text(str(k)): as_plain(v, depth=depth) for k, v in fields.items()}
        if isinstance(value, list | tuple | Set):
            return [as_plain(each, depth=depth) for each in value]
    return clean_text(repr(value)[:MAX_REPR])


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    names = getattr(type(value), "model_fields", None)  # Pydantic's models, LangChain's messages.
    if isinstance(names, Mapping):
        fields = {name: getattr(value, name, None) for name in names}
        return {name: each for name, each in fields.items() if each not in (None, {}, [])}
    return None

"""What the model is asked for besides: that of the conversation, and over it that of a request."""

from collections.abc import Mapping
from typing import Any

LENGTHS = ("max_tokens", "max_completion_tokens")


def merged(*layers: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return the options of all layers, of which a later one comes before an earlier one.

    A length has two names: whichever is said last takes the other's place.
    """
    result: dict[str, Any] = {}
    for layer in layers:
        given = {name: value for name, value in (layer or {}).items() if value is not None}
        if any(name in given for name in LENGTHS):
            for name in LENGTHS:
                result.pop(name, None)
        result |= given
    return result

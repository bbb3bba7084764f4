"""JSON from strangers."""

import json
from typing import Any, NoReturn

from chat.errors import BadRequest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def parse_object(raw: str | bytes) -> dict[str, Any]:
    """
    Return the JSON object in ``raw``; of duplicate keys the last wins.

    Raise BadRequest for anything else: invalid UTF-8, NaN, numbers of
    thousands of digits, nesting deeper than the parser goes, another top level.
    """
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        value = _decoder.decode(text)
    except (ValueError, RecursionError) as exc:  # Covers UnicodeDecodeError, JSONDecodeError.
        raise BadRequest(f"This is not valid JSON: {_reason(exc)}.") from None
    if not isinstance(value, dict):
        raise BadRequest("Send a JSON object: {…}.")
    return value


def _reason(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8"
    if isinstance(exc, json.JSONDecodeError):
        return f"{exc.msg} at character {exc.pos}"
    return "a number in it cannot be read"

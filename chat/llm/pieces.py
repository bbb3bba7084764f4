"""What the chain gives: pure values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """
    What one read of the model gave.

    ``step`` tells of work that is not text, a retry for instance. The last
    piece of a complete answer has the ``finish_reason``, and the ``usage`` if
    the model reported it in plausible numbers.
    """

    text: str = ""
    reasoning: str = ""
    step: Mapping[str, Any] | None = None
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None

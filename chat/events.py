"""Events: pure values, numbered by their cursor, encoded once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json import JSONEncoder
from typing import Any

# ASCII only: whatever the model wrote, no line end or separator reaches a transport's framing.
encode_json = JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


class EventKind(StrEnum):
    """What an event says; the last four end a log."""

    STARTED = "started"
    STEP = "step"
    NOTICE = "notice"
    REASONING = "reasoning"
    DELTA = "delta"
    DONE = "done"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({EventKind.DONE, EventKind.STOPPED, EventKind.INTERRUPTED, EventKind.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One entry of a generation's log.

    ``cursor`` counts 1, 2, 3 … without gaps. ``json`` is the one encoding of
    ``data`` that every transport and every reconnect sends.
    """

    cursor: int
    kind: EventKind
    data: Mapping[str, Any]
    json: str
    # What `wire` has already encoded, by dialect: with many readers each event is encoded once.
    encoded: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def create(cls, *, cursor: int, kind: EventKind, data: Mapping[str, Any]) -> "Event":
        return cls(cursor=cursor, kind=kind, data=data, json=encode_json(data))

"""What the chat is to reach, and whether it did in this run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.scenarios import Row
from bench.servers import CHAT, CHAT_UVICORN


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on one figure of one scenario: an upper one, or the least that will do."""

    number: str
    scenario: str
    figure: str
    key: str
    bound: float
    is_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.is_least else value <= self.bound


TARGETS = (
    Target("P1", "streams", "µs/token", "us_per_token", 60),
    Target("P1", "streams", "× raw pass-through", "times_raw", 2.2),
    Target("P1", "streams", "× less than FastAPI and a chain", "times_less", 6, is_least=True),
    Target("P2", "streams", "p50 ms", "p50", 40),
    Target("P2", "streams", "p99 ms", "p99", 150),
    Target("P3", "fast", "µs/token", "us_per_token", 15),
    Target("P3", "fast", "p99 ms", "p99", 60),
    Target("P4", "first", "ms over raw pass-through, p50", "over_raw", 10),
    Target("P5", "start", "ms of CPU per start", "start_ms", 4),
    Target("P6", "idle", "KB per idle socket", "kb_each", 30),
    Target("P7", "fanout", "p99 ms", "p99", 250),
    Target("P8", "growth", "× the time of a small site, at most", "worst", 1.5),
    Target("P9", "wire", "bytes per byte of text", "wire", 3),
    Target("P10", "page", "tasks over 50 ms", "over", 0),
)


def verdicts(found: Mapping[str, Sequence[Row]]) -> list[list[str]]:
    """Return the table of targets, heading first, as far as its scenarios ran."""
    lines = [["#", "figure", "target", "Daphne", "uvicorn", "met"]]
    for target in TARGETS:
        if target.scenario not in found:
            continue
        rows = {row["server"]: row for row in found[target.scenario]}
        values = [rows.get(server.name, {}).get(target.key) for server in (CHAT, CHAT_UVICORN)]
        told = [value for value in values if value is not None]
        met = "–" if not told else " / ".join("yes" if target.is_met(v) else "no" for v in told)
        cells = ["–" if value is None else f"{value:,.1f}" for value in values]
        sign = "≥" if target.is_least else "≤"
        lines.append(
            [target.number, target.figure, f"{sign} {target.bound:g}", *cells, met],
        )
    return lines

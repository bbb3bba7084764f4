"""
What is measured. A scenario runs one load on each of its servers and returns a row for each.

The numbers P1 … P10 are the targets that bench/README.md lists.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.bed import Bed
from bench.growth import growth
from bench.page import page
from bench.process import NotStarted
from bench.servers import (
    BURR,
    CHAINLIT,
    CHAT,
    CHAT_SSE,
    CHAT_UVICORN,
    FASTAPI,
    NAIVE,
    NGINX,
    RAW,
    Running,
    Server,
    running,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its title, the row's key, and how a number is printed."""

    title: str
    key: str
    spec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One table."""

    name: str
    title: str
    columns: Sequence[Column]
    servers: Sequence[Server]
    run: Callable[[Bed, Server], Row]

    def rows(self, bed: Bed, report: Callable[[str], None], *, only: str | None) -> list[Row]:
        """Measure one server after another; one that cannot run gets a note instead."""
        rows: list[Row] = []
        for server in self.servers:
            if only and only.lower() not in server.name.lower():
                continue
            report(f"{self.name}: {server.name}")
            rows.append({"server": server.name} | self.measure(bed, server))
        compare(rows)
        return rows

    def measure(self, bed: Bed, server: Server) -> Row:
        missing = server.missing()
        if missing:
            return {"note": f"not installed: {', '.join(missing)}"}
        try:
            return self.run(bed, server)
        except NotStarted as exc:
            return {"note": f"did not start: {exc}"}


def compare(rows: Sequence[Row]) -> None:
    """Note in each row how it stands to the peers measured beside it."""
    found = {row["server"]: row for row in rows}
    raw, chain = found.get(RAW.name, {}), found.get(FASTAPI.name, {})
    for row in rows:
        if cost := row.get("us_per_token"):
            if base := raw.get("us_per_token"):
                row["times_raw"] = cost / base
            if other := chain.get("us_per_token"):
                row["times_less"] = other / cost
        if "first_age" in row and "first_age" in raw:
            row["over_raw"] = row["first_age"] - raw["first_age"]


CPU = Column("µs/token", "us_per_token", ".0f")
TIMES_RAW = Column("× raw", "times_raw", ".1f")
P50 = Column("p50 ms", "p50", ",.1f")
P99 = Column("p99 ms", "p99", ",.1f")
FIRST = Column("first token p50 ms", "first", ",.1f")
RSS = Column("RSS MB", "rss", ".0f")
WIRE = Column("bytes/text", "wire", ".1f")
STREAMED = (CPU, TIMES_RAW, P50, P99, FIRST, RSS, WIRE)


def warm(bed: Bed, live: Running) -> None:
    """Let a server import, connect and compile what it does on first use."""
    bed.measure(live, kind="streams", readers=4, tokens=20, rate=200, timeout=50)


def streams(
    *, readers: int, tokens: int, rate: float, spread: float
) -> Callable[[Bed, Server], Row]:
    """Many answers at once, each on its own connection and by its own user."""

    def run(bed: Bed, server: Server) -> Row:
        with running(server, upstream=bed.port, users=readers) as live:
            warm(bed, live)
            load = {"readers": readers, "tokens": tokens, "rate": rate, "spread": spread}
            return bed.measure(live, kind="streams", **load).row() | {"wanted": readers}

    return run


def first_token(bed: Bed, server: Server) -> Row:
    """One reader at a time: how long its first token was under way."""
    with running(server, upstream=bed.port) as live:
        warm(bed, live)
        found = bed.measure(live, kind="sequence", readers=50, tokens=5, rate=50)
        return found.row() | {"wanted": 50}


def start_cost(bed: Bed, server: Server) -> Row:
    """Answers of one token: what they cost, and what of it until the model is asked."""
    with running(server, upstream=bed.port, users=100) as live:
        warm(bed, live)
        found = bed.measure(live, kind="sequence", readers=300, tokens=1, rate=1000)
        answers = found.result["answers"]
        each = found.cpu * 1000 / answers if answers else None
        readers = 100
        load = {"readers": readers, "tokens": 1, "rate": 1000, "spread": 2, "hold": 6}
        cpu, held = bed.measure_started(live, kind="starts", **load)
        start = cpu * 1000 / readers if held["answers"] == readers else None
        return found.row() | {"wanted": 300, "start_ms": start, "answer_ms": each}


def idle(bed: Bed, server: Server) -> Row:
    """Sockets that wait, ten for each user."""
    sockets = 2000
    with running(server, upstream=bed.port, users=sockets // 10) as live:
        warm(bed, live)
        found, start = bed.measure_held(live, kind="idle", readers=sockets)
        grown = found.before - start
        each = {"kb_each": grown.rss / 1024 / sockets, "ms_each": grown.cpu * 1000 / sockets}
        return found.row() | {"rss": found.before.rss / 2**20} | each


def fanout(bed: Bed, server: Server) -> Row:
    """One answer, and many connections that follow it."""
    readers = 500
    with running(server, upstream=bed.port) as live:
        warm(bed, live)
        job = {"readers": readers, "tokens": 500, "rate": 50}
        found, _ = bed.measure_held(live, kind="fanout", **job)
        return found.row() | {"wanted": readers}


def wire(bed: Bed, server: Server) -> Row:
    """One long answer, for its bytes on the wire."""
    with running(server, upstream=bed.port) as live:
        warm(bed, live)
        found = bed.measure(live, kind="streams", readers=1, tokens=10_000, rate=1000)
        return found.row() | {"wanted": 1}


CHAT_SOCKETS = (CHAT, CHAT_UVICORN)
FRAMEWORKS = (BURR, CHAINLIT)

QUICK = (
    Scenario(
        name="quick",
        title="50 streams × 50 tokens/s × 250 tokens, starts spread over 1 s",
        columns=STREAMED,
        servers=(RAW, FASTAPI, NAIVE, CHAT),
        run=streams(readers=50, tokens=250, rate=50, spread=1),
    ),
)

FULL = (
    Scenario(
        name="streams",
        title="P1, P2: 200 streams × 50 tokens/s × 1,000 tokens, starts spread over 5 s",
        columns=STREAMED,
        servers=(NGINX, RAW, FASTAPI, NAIVE, *FRAMEWORKS, *CHAT_SOCKETS, CHAT_SSE),
        run=streams(readers=200, tokens=1000, rate=50, spread=5),
    ),
    Scenario(
        name="fast",
        title="P3: 20 streams × 1,000 tokens/s × 5,000 tokens, starts spread over 1 s",
        columns=STREAMED,
        servers=(RAW, FASTAPI, *CHAT_SOCKETS),
        run=streams(readers=20, tokens=5000, rate=1000, spread=1),
    ),
    Scenario(
        name="first",
        title="P4: the first token when nothing else happens",
        columns=(Column("upstream → reader p50 ms", "first_age", ".1f"), FIRST),
        servers=(RAW, FASTAPI, NAIVE, *FRAMEWORKS, *CHAT_SOCKETS, CHAT_SSE),
        run=first_token,
    ),
    Scenario(
        name="start",
        title="P5: starting an answer, from the question to the request to the model",
        columns=(
            Column("CPU ms/start", "start_ms", ".2f"),
            Column("CPU ms/answer of one token", "answer_ms", ".2f"),
            FIRST,
        ),
        servers=(RAW, FASTAPI, NAIVE, *FRAMEWORKS, *CHAT_SOCKETS),
        run=start_cost,
    ),
    Scenario(
        name="idle",
        title="P6: 2,000 idle sockets",
        columns=(
            Column("KB each", "kb_each", ".0f"),
            Column("CPU ms to open one", "ms_each", ".2f"),
            RSS,
        ),
        servers=(NAIVE, *CHAT_SOCKETS),
        run=idle,
    ),
    Scenario(
        name="fanout",
        title="P7: 500 readers of one answer, 50 tokens/s × 500 tokens",
        columns=(Column("µs/token and reader", "us_per_token", ".1f"), P50, P99, RSS, WIRE),
        servers=CHAT_SOCKETS,
        run=fanout,
    ),
    Scenario(
        name="wire",
        title="P9: bytes on the wire of a 10,000-token answer at 1,000 tokens/s",
        columns=(WIRE, CPU),
        servers=(RAW, FASTAPI, *CHAT_SOCKETS, CHAT_SSE),
        run=wire,
    ),
    Scenario(
        name="growth",
        title="P8: 100 → 100,000 chats of one user, 100 → 10,000 messages of one chat; p50 ms",
        columns=(
            Column("list", "list", ""),
            Column("page with sidebar", "sidebar", ""),
            Column("search, in 50", "search", ""),
            Column("search, in all", "common", ""),
            Column("opening the chat", "opening", ""),
        ),
        servers=(CHAT,),
        run=growth,
    ),
    Scenario(
        name="page",
        title="P10: 10,000 tokens at 500 tokens/s on the page in Chromium",
        columns=(
            Column("longest task over 50 ms", "longest", ".0f"),
            Column("tasks over 50 ms", "over", ".0f"),
            Column("in one paragraph: longest", "paragraph_longest", ".0f"),
            Column("tasks", "paragraph_over", ".0f"),
        ),
        servers=(CHAT,),
        run=page,
    ),
)

"""Tables, as Markdown that is readable in a terminal as well."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence

from bench.peers import environments
from bench.scenarios import Column, Row, Scenario

LOAD = os.getloadavg()[0]  # Before the benchmark adds its own.
PACKAGES = (
    "Django", "channels", "daphne", "Twisted", "autobahn", "uvicorn", "uvloop", "httptools", "h11",
    "websockets", "openai", "aiohttp", "httpx", "langchain-core", "langchain-openai", "fastapi",
)  # fmt: skip
VERBOSE = (
    Column("server busy %", "busy", ".0f"),
    Column("client busy %", "client_busy", ".0f"),
    Column("upstream busy %", "upstream_busy", ".0f"),
    Column("upstream late ms", "upstream_delay", ".0f"),
    Column("seconds", "seconds", ".1f"),
)


def cell(row: Row, column: Column) -> str:
    value = row.get(column.key)
    return "–" if value is None else format(value, column.spec)


def note(row: Row) -> str:
    """Return why a row should not be trusted, or nothing."""
    if "note" in row:
        return str(row["note"])
    reasons = [f"{count} × {' '.join(why.split())[:120]}" for why, count in row["failures"].items()]
    failures = "; ".join(reasons)
    if row.get("wanted", row["answers"]) != row["answers"]:
        return f"{row['answers']} of {row['wanted']} complete: {failures}"
    return failures


def table(scenario: Scenario, rows: Sequence[Row], *, verbose: bool = False) -> str:
    """Return one scenario's table."""
    columns = [*scenario.columns, *(VERBOSE if verbose else ())]
    lines = [["server", *(column.title for column in columns)]]
    lines += [[row["server"], *(cell(row, column) for column in columns)] for row in rows]
    notes = [f"- {row['server']}: {text}\n" for row in rows if (text := note(row))]
    return "\n".join([f"### {scenario.title}\n", aligned(lines) + "\n", *notes])


def target_table(lines: list[list[str]]) -> str:
    """Return the table that holds the chat's figures against its targets."""
    return f"### Targets\n\n{aligned(lines)}\n"


def aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    head, *body = lines
    return "\n".join(
        "| "
        + " | ".join(
            text.ljust(width) if index == 0 else text.rjust(width)
            for index, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in (head, rule, *body)
    )


def machine() -> str:
    """Return what the figures depend on besides the code."""
    versions = [f"{name} {version}" for name in PACKAGES if (version := version_of(name))]
    missing = [name for name in PACKAGES if not version_of(name)]
    peers = [
        f"- {peer}, in its own environment: {', '.join(environments.pins(peer))}"
        for peer in environments.PEERS
        if environments.is_ready(peer)
    ]
    return "\n".join(
        [
            f"- {len(os.sched_getaffinity(0))} cores shared by upstream, server and client;"
            f" {platform.machine()}, {platform.system()} {kernel()}",
            f"- load average when this began: {LOAD:.1f}",
            f"- {platform.python_implementation()} {platform.python_version()}",
            f"- {', '.join(versions)}",
            *peers,
            *([f"- Not installed: {', '.join(missing)}"] if missing else []),
        ]
    )


def kernel() -> str:
    """Return the kernel's version without what its builder added."""
    return platform.release().partition("-")[0]


def version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def document(tables: Iterable[str]) -> str:
    """Return the text of bench/results.md."""
    return "\n".join(
        [
            "# Results",
            "",
            "Written by `python -m bench --write`; bench/README.md says how to read them. Only",
            "ratios between rows of one table count: absolute figures belong to the machine.",
            "",
            machine(),
            "",
            *tables,
        ]
    )

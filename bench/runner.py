"""The command line: which scenarios run, and where their tables go."""

import argparse
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.bed import Bed
from bench.report import document, machine, table, target_table
from bench.scenarios import FULL, QUICK, Row, Scenario
from bench.single import put_in
from bench.targets import verdicts

RESULTS = Path(__file__).with_name("results.md")


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small table in under a minute")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scenarios to run")
    parser.add_argument("--server", metavar="TEXT", help="only servers whose name contains this")
    parser.add_argument(
        "--write",
        action="store_true",
        help="write bench/results.md; with --only, those tables",
    )
    parser.add_argument("--verbose", action="store_true", help="show who was busy, too")
    return parser.parse_args(argv)


def chosen(options: argparse.Namespace) -> list[Scenario]:
    """Return the scenarios that the command line names."""
    scenarios = QUICK if options.quick else FULL
    names = {scenario.name for scenario in scenarios}
    if unknown := set(options.only or ()) - names:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")
    return [s for s in scenarios if not options.only or s.name in options.only]


def run(scenarios: Sequence[Scenario], options: argparse.Namespace) -> None:
    """Run scenarios and print their tables. What is written is written after each."""
    found: dict[str, list[Row]] = {}
    tables: list[str] = []
    with TemporaryDirectory(prefix="bench-") as name:
        bed = Bed(Path(name))
        try:
            for scenario in scenarios:
                rows = found[scenario.name] = scenario.rows(bed, progress, only=options.server)
                tables.append(table(scenario, rows, verbose=options.verbose))
                print(tables[-1], flush=True)
                if options.write and not options.only:
                    RESULTS.write_text(document([target_table(verdicts(found)), *tables]))
                elif options.write:
                    RESULTS.write_text(put_in(RESULTS.read_text(), tables, verdicts(found)))
        finally:
            bed.stop()
    print(target_table(verdicts(found)), flush=True)


def progress(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Servers are stopped on the way out.
    # Every reader is a socket here, and up to two in the server.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(machine(), end="\n\n", flush=True)
    run(chosen(options), options)
    return 0

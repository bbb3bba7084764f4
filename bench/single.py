"""Single tables, put into the results of an earlier run of all."""

import time
from collections.abc import Sequence

from bench.report import LOAD, target_table

HEADING = "### "


def put_in(results: str, tables: Sequence[str], verdicts: Sequence[list[str]]) -> str:
    """Return the results with these tables in their place or behind the others, marked as such."""
    head, *sections = results.split(f"\n{HEADING}")
    day = time.strftime("%Y-%m-%d")
    mark = f"- Measured apart from the others, {day}, at a load average of {LOAD:.1f}.\n"
    for table in tables:
        text = f"{table.removeprefix(HEADING).rstrip()}\n\n{mark}"
        title = first_line(text)
        places = [n for n, section in enumerate(sections) if first_line(section) == title]
        if places:
            sections[places[0]] = text
        else:
            sections.append(text)
    sections[0] = target_table(merged(cells_of(sections[0]), verdicts)).removeprefix(HEADING)
    return f"\n{HEADING}".join([head, *sections])


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def cells_of(table: str) -> list[list[str]]:
    """Return the cells of a table, without the rule under its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def merged(earlier: Sequence[list[str]], verdicts: Sequence[list[str]]) -> list[list[str]]:
    """Return the targets with the new figures, in the order of their numbers."""
    head, *rows = earlier
    found = {(row[0], row[1]): row for row in rows} | {
        (row[0], row[1]): row for row in verdicts[1:]
    }
    return [head, *sorted(found.values(), key=lambda row: int(row[0].removeprefix("P")))]

"""What stands in a site's database, to be compared with what stands there later."""

import sqlite3
from typing import Any

from tests.guarantees.sites import database_path
from tests.servers import Site

# What reading may change: when somebody was last here.
HOUSEKEEPING = {"auth_user.last_login", "chat_apikey.last_used_at"}
NOT_COMPARED = {"django_session", "sqlite_sequence", "chat_storedevent", "chat_worker"}


def tables(site: Site, *, without: set[str] = frozenset()) -> dict[str, list[Any]]:  # type: ignore[assignment]
    """Return the rows of each table, without the columns (``table.column``) that are named."""
    database = sqlite3.connect(f"file:{database_path(site)}?mode=ro", uri=True, timeout=10)
    try:
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: _rows(database, name, HOUSEKEEPING | without)
            for (name,) in names
            if name not in NOT_COMPARED
        }
    finally:
        database.close()


def _rows(database: sqlite3.Connection, table: str, without: set[str]) -> list[Any]:
    columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
    kept = ", ".join(f'"{name}"' for name in columns if f"{table}.{name}" not in without)
    return sorted(database.execute(f'SELECT {kept} FROM "{table}"').fetchall(), key=repr)

"""Values for a project's settings that the chat works best with."""

from typing import Any

SQLITE_OPTIONS: dict[str, Any] = {
    "timeout": 5,
    # A transaction takes the write lock when it begins: one that began by
    # reading would be refused at its first write, whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    # SQLite's own 2 MB of cache for each connection: the system has the file in memory anyway, and
    # more would grow with the database, once in each database thread.
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
        "PRAGMA journal_size_limit=67108864;PRAGMA temp_store=MEMORY;"
    ),
}

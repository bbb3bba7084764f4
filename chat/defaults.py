"""Values for a project's settings that the chat works best with."""

from typing import Any

SQLITE_OPTIONS: dict[str, Any] = {
    "timeout": 5,
    # A transaction takes the write lock when it begins: one that began by
    # reading would be refused at its first write, whatever the timeout.
    "transaction_mode": "IMMEDIATE",
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;"
        "PRAGMA journal_size_limit=67108864;PRAGMA cache_size=-20000;"
        "PRAGMA temp_store=MEMORY;"
    ),
}

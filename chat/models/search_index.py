"""
The index of what was said: made by a migration, kept by the database itself.

SQLite: a table of FTS5 that holds words and no texts, and triggers. Its rows
have numbers, messages have not, so a table of entries lies in between, which also
says what conversation it is; texts of messages and titles of conversations share
it. PostgreSQL: a GIN index for each.
"""

from typing import Any

ENTRIES = "chat_searchentry"
INDEX = "chat_search"
MAX_CHARS = 60_000  # Of each text. PostgreSQL refuses a row whose words take over a megabyte.

# What PostgreSQL's parser would take for the inside of addresses, file names and numbers.
_JOINING = "-./_:@+&=?#~“”„‘’«»…–—"
VECTOR = (
    f"to_tsvector('simple', translate(left({{text}}, {MAX_CHARS}), "
    f"'{_JOINING}', '{' ' * len(_JOINING)}'))"
)

# Table, column, its conversation, and what of it is indexed.
_SOURCES = (
    ("chat_message", "text", "conversation_id", "{row}.role <> 'system' AND {row}.text <> ''"),
    ("chat_conversation", "title", "id", "{row}.title <> ''"),
)
_POSTGRES_INDEXES = {
    "message_text_search": ("chat_message", "text"),
    "conversation_title_search": ("chat_conversation", "title"),
}


def create(connection: Any) -> None:
    """Make the index and put into it all there is. Whatever is left of an earlier one goes."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for name, (table, column) in _POSTGRES_INDEXES.items():
                cursor.execute(
                    f"CREATE INDEX IF NOT EXISTS {name} ON {table} "
                    f"USING gin ({VECTOR.format(text=column)})"
                )
        elif connection.vendor == "sqlite":
            _drop_sqlite(cursor)
            _create_sqlite(cursor)


def drop(connection: Any) -> None:
    """Take the index away."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for name in _POSTGRES_INDEXES:
                cursor.execute(f"DROP INDEX IF EXISTS {name}")
        elif connection.vendor == "sqlite":
            _drop_sqlite(cursor)


def mend(connection: Any) -> bool:
    """
    Make the index anew where it is not kept any more. Return whether that was so.

    A migration that makes a table of SQLite anew takes its triggers away.
    """
    if connection.vendor != "sqlite":
        return False
    names = {name for name, _ in _triggers()} | {INDEX}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE name LIKE 'chat\\_%' ESCAPE '\\'")
        found = {name for (name,) in cursor.fetchall()}
        # Without its table the migration that makes it has not run, or was undone.
        if INDEX not in found or names <= found:
            return False
    create(connection)
    return True


def tidy(connection: Any) -> None:
    """Take out of the index what it only marks as deleted: words of texts that are gone."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {INDEX} ({INDEX}) VALUES ('optimize')")  # noqa: S608


def _drop_sqlite(cursor: Any) -> None:
    for name, _ in _triggers():
        cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
    cursor.execute(f"DROP TABLE IF EXISTS {INDEX}")
    cursor.execute(f"DROP TABLE IF EXISTS {ENTRIES}")


def _create_sqlite(cursor: Any) -> None:
    cursor.execute(
        f"CREATE TABLE {ENTRIES} (id integer PRIMARY KEY, source char(32) NOT NULL UNIQUE, "
        "conversation char(32) NOT NULL)"
    )
    cursor.execute(
        f"CREATE VIRTUAL TABLE {INDEX} USING fts5(text, content='', "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    for table, column, conversation, condition in _SOURCES:
        cursor.execute(
            f"INSERT INTO {ENTRIES} (source, conversation) SELECT kept.id, kept.{conversation} "  # noqa: S608
            f"FROM {table} AS kept WHERE {condition.format(row='kept')}"
        )
        cursor.execute(
            f"INSERT INTO {INDEX} (rowid, text) "  # noqa: S608
            f"SELECT entry.id, substr(kept.{column}, 1, {MAX_CHARS}) "
            f"FROM {table} AS kept JOIN {ENTRIES} AS entry ON entry.source = kept.id"
        )
    for _, definition in _triggers():
        cursor.execute(definition)


def _triggers() -> list[tuple[str, str]]:
    found = []
    for table, column, conversation, condition in _SOURCES:
        add = _add(column, conversation, condition)
        remove = _remove(column)
        changed = f"old.{column} IS NOT new.{column}"
        for name, event, guard, actions in (
            ("insert", "INSERT", condition.format(row="new"), add),
            ("update", f"UPDATE OF {column}", changed, remove + add),
            ("delete", "DELETE", f"old.{column} <> ''", remove),
        ):
            trigger = f"{table}_search_{name}"
            found.append(
                (
                    trigger,
                    f"CREATE TRIGGER {trigger} AFTER {event} ON {table} WHEN {guard} "
                    f"BEGIN {actions} END",
                )
            )
    return found


def _add(column: str, conversation: str, condition: str) -> str:
    is_wanted = condition.format(row="new")
    return (
        f"INSERT INTO {ENTRIES} (source, conversation) "  # noqa: S608
        f"SELECT new.id, new.{conversation} WHERE {is_wanted};"
        f"INSERT INTO {INDEX} (rowid, text) SELECT id, substr(new.{column}, 1, {MAX_CHARS}) "
        f"FROM {ENTRIES} WHERE source = new.id;"
    )


def _remove(column: str) -> str:
    # A table without texts must be told which words go.
    return (
        f"INSERT INTO {INDEX} ({INDEX}, rowid, text) "  # noqa: S608
        f"SELECT 'delete', id, substr(old.{column}, 1, {MAX_CHARS}) "
        f"FROM {ENTRIES} WHERE source = old.id;"
        f"DELETE FROM {ENTRIES} WHERE source = old.id;"
    )

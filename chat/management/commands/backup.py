import os
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from chat.management.new_file import new_file


class Command(BaseCommand):
    help = "Write a consistent copy of the database to a new file, while the site runs."

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="Must not exist yet.")

    def handle(self, *, file: Path, **options: Any) -> None:
        with new_file(file) as draft:
            if connection.vendor == "sqlite":
                _copy_sqlite(str(connection.settings_dict["NAME"]), draft)
            elif connection.vendor == "postgresql":
                _dump_postgres(connection.settings_dict, draft, file)
            else:
                raise CommandError(f"Use the tools of {connection.display_name}.")
        self.stdout.write(f"{file}: {file.stat().st_size} bytes")


def _copy_sqlite(name: str, draft: Path) -> None:
    if not Path(name).exists():
        raise CommandError(f"There is no database at {name}.")
    # A connection of its own: in one step, so in one snapshot, whatever is written meanwhile.
    with closing(sqlite3.connect(name)) as source, closing(sqlite3.connect(draft)) as copy:
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # One file, with nothing beside it.
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as exc:
            raise CommandError(f"The database cannot be copied: {exc}.") from exc
    if found != "ok":
        raise CommandError(f"The database is damaged: {found}")


def _dump_postgres(database: dict[str, Any], draft: Path, file: Path) -> None:
    names = {"host": "HOST", "port": "PORT", "username": "USER", "dbname": "NAME"}
    where = [f"--{option}={database[key]}" for option, key in names.items() if database[key]]
    command = ["pg_dump", "--format=custom", "--no-owner"]
    if shutil.which("pg_dump") is None:
        shown = shlex.join([*command, f"--file={file}", *where])
        raise CommandError(f"pg_dump is not installed. Where it is, run: {shown}")
    command += [f"--file={draft}", *where]
    environment = os.environ | {"PGPASSWORD": str(database["PASSWORD"])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise CommandError(f"pg_dump failed: {done.stderr.strip()}")

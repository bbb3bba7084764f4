import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection


class Command(BaseCommand):
    help = "Write a consistent copy of the database to a new file, while the site runs."

    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="Must not exist yet.")

    def handle(self, *, file: Path, **options: Any) -> None:
        with _draft_of(file) as draft:
            if connection.vendor == "sqlite":
                _copy_sqlite(str(connection.settings_dict["NAME"]), draft)
            elif connection.vendor == "postgresql":
                _dump_postgres(connection.settings_dict, draft, file)
            else:
                raise CommandError(f"Use the tools of {connection.display_name}.")
        self.stdout.write(f"{file}: {file.stat().st_size} bytes")


@contextmanager
def _draft_of(file: Path) -> Iterator[Path]:
    """Give a file to write beside ``file``, and put it there when it is whole and on the disk."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists():
            raise FileExistsError(file)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        _sync(draft)
        os.link(draft, file)  # Unlike a rename, this overwrites nothing.
        draft.unlink()
        _sync(file.parent)
    except FileExistsError as exc:
        raise CommandError(f"{file} exists. Name a new file.") from exc
    except OSError as exc:
        raise CommandError(f"{file} cannot be written: {exc.strerror}.") from exc
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


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

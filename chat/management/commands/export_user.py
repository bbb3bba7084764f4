import re
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.database import close_database_threads
from chat.errors import ChatError
from chat.management.new_file import new_file
from chat.management.people import find_user
from chat.transfer.whole import write_whole

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

STDOUT = "-"
UNSAFE = re.compile(r"[^\w.@+-]+")  # In the name of a file.


class Command(BaseCommand):
    help = "Write all that the site has of a user into a ZIP archive. The site may run meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help="Must not exist yet. “-”: standard output. Default: chat-USERNAME.zip, here.",
        )
        parser.add_argument("--force", action="store_true", help="Overwrite the file.")

    def handle(self, *, username: str, output: str | None, force: bool, **options: Any) -> None:
        user = find_user(username)
        try:
            if output == STDOUT:
                manifest = self._to_stdout(user)
            else:
                file = Path(output or f"chat-{UNSAFE.sub('_', username)}.zip")
                if file.is_dir():
                    raise CommandError(f"{file} is a folder. Name a file.")
                with new_file(file, overwrite=force) as draft, draft.open("wb") as stream:
                    manifest = _write(user, stream)
        except ChatError as exc:
            raise CommandError(f"Nothing was exported: {exc}") from exc
        finally:
            close_database_threads()
        for label, count in manifest["counts"].items():
            if count:
                self.stderr.write(f"{count} {label}")
        written = sum(each["bytes"] for each in manifest["files"])
        where = "standard output" if output == STDOUT else str(file)
        self.stderr.write(f"{where}: {len(manifest['files'])} files, {written} bytes unpacked")

    def _to_stdout(self, user: "AbstractBaseUser") -> dict[str, Any]:
        if sys.stdout.isatty():
            raise CommandError("An archive is not for a terminal. Send it into a file or a pipe.")
        manifest = _write(user, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return manifest


def _write(user: "AbstractBaseUser", stream: IO[bytes]) -> dict[str, Any]:
    return async_to_sync(write_whole)(user, stream)

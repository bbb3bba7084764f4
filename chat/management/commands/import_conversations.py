import json
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.database import close_database_threads
from chat.management.people import find_user
from chat.views.imports import import_all


class Command(BaseCommand):
    help = "Import the conversations in a file, however large: an export of a site or of ChatGPT."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="Whose they are to be.")
        parser.add_argument("file", type=Path)

    def handle(self, *, username: str, file: Path, **options: Any) -> None:
        owner = find_user(username)
        items = _items_in(file)
        try:
            report = async_to_sync(import_all)(owner, items)
        finally:
            close_database_threads()
        for item in report["items"]:
            if item["error"]:
                title = item["title"] or f"number {item['index'] + 1}"
                self.stderr.write(f"{title}: {item['error']['message']}")
        self.stdout.write(
            f"{report['imported']} imported, {report['already']} there already, "
            f"{report['failed']} failed, {report['skipped']} parts left out that are no text"
        )


def _items_in(file: Path) -> list[Any]:
    try:
        content = json.loads(file.read_bytes())
    except OSError as exc:
        raise CommandError(f"{file} cannot be read: {exc.strerror}.") from exc
    except (ValueError, RecursionError):
        raise CommandError(f"{file} is no JSON.") from None
    items = content.get("conversations") if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise CommandError(f"There are no conversations in {file}.")
    return items

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.management.people import find_user
from chat.models import ApiKey


class Command(BaseCommand):
    help = "Create an API key. The key is printed once, alone, on standard output."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="What the key is for.")
        parser.add_argument("--expires", type=int, metavar="DAYS", help="Default: never.")

    def handle(self, *, username: str, name: str, expires: int | None, **options: Any) -> None:
        if expires is not None and expires < 1:
            raise CommandError("--expires must be at least 1 day.")
        if len(name) > 100:
            raise CommandError("--name must have at most 100 characters.")
        owner = find_user(username)
        if not owner.is_active:
            raise CommandError(f"The user {username!r} is not active, so no key of theirs works.")
        row, key = ApiKey.objects.create_key(owner, name=name, days=expires)
        until = f"until {row.expires_at:%Y-%m-%d %H:%M} UTC" if row.expires_at else "until revoked"
        self.stderr.write(f"An API key for {username}, valid {until}. It is not shown again:")
        self.stdout.write(key)

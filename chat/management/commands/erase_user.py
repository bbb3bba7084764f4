from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.database import close_database_threads
from chat.management.erasure import erase
from chat.management.people import find_user


class Command(BaseCommand):
    help = "Delete a user and all that the site has of them. Sums of usage stay, without the name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *, username: str, yes: bool, **options: Any) -> None:
        user = find_user(username)
        if not yes and input(f"Type {username} to delete all of theirs: ") != username:
            raise CommandError("Nothing was deleted.")
        try:
            done = erase(user)
        finally:
            close_database_threads()
        for what, count in sorted(done.items()):
            if count:
                self.stdout.write(f"{count} {what}")
        self.stdout.write(f"{username} is erased. Backups and logs of servers are not.")

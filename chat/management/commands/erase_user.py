from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from chat.database import close_database_threads
from chat.management.erasure import erase


class Command(BaseCommand):
    help = "Delete a user and all that the site has of them. Sums of usage stay, without the name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *, username: str, yes: bool, **options: Any) -> None:
        users = get_user_model()._default_manager
        try:
            user = users.get_by_natural_key(username)
        except get_user_model().DoesNotExist:
            raise CommandError(f"There is no user {username!r}.") from None
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

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.utils import timezone

from chat.conf import data_dir
from chat.management.data_folder import find_address
from chat.models import ApiKey
from chat.terminal import main as terminal
from chat.terminal.config import Account, clean_url
from chat.terminal.failures import BadConfig, ClientFailed

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

KEY_NAME = "manage.py chat"
KEY_DAYS = 1  # For a client that is killed before it can give its key back.
NAMED = 5
NO_SITE = (
    "No site of this data folder runs on this machine. Start one: make run, or manage.py start."
    " One that was started otherwise is named by its address: --url http://127.0.0.1:8000"
)


class Command(BaseCommand):
    help = "Chat in this terminal, on this machine's site, with a key that ends with the chat."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default="", help="Whose chat; needed if there are several.")
        parser.add_argument("--url", default="", help="Default: where the site was started.")
        terminal.add_choices(parser)

    def handle(self, *, user: str, url: str, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGHUP, _leave)
        try:
            address = clean_url(url) if url else find_address(data_dir())
        except BadConfig as exc:
            raise CommandError(str(exc)) from exc
        if not address:
            raise CommandError(NO_SITE, returncode=2)
        row, key = ApiKey.objects.create_key(_find(user), name=KEY_NAME, days=KEY_DAYS)
        connection.close()  # Not needed for as long as somebody chats.
        try:
            code = terminal.run(Account(url=address, key=key), argparse.Namespace(**options))
        except ClientFailed as exc:
            raise CommandError(str(exc), returncode=2) from exc
        finally:
            self._revoke(row)
        sys.exit(code)

    def _revoke(self, row: ApiKey) -> None:
        row.revoked_at = timezone.now()
        try:
            row.save(update_fields=["revoked_at"])
        except DatabaseError as exc:
            self.stderr.write(f"The key {row} could not be revoked and ends in a day: {exc}")


def _find(username: str) -> "AbstractBaseUser":
    """Return the user of that name, or the only one there is. Raise CommandError."""
    users = get_user_model()._default_manager.filter(is_active=True)
    if username:
        try:
            found: AbstractBaseUser = users.get(**{get_user_model().USERNAME_FIELD: username})
        except get_user_model().DoesNotExist:
            raise CommandError(f"There is no active user {username!r}.") from None
        return found
    several = list(users.order_by("pk")[: NAMED + 1])
    if not several:
        raise CommandError("There is no account yet. `manage.py start` prints a link to make one.")
    if len(several) > 1:
        names = ", ".join(user.get_username() for user in several[:NAMED])
        more = ", …" if len(several) > NAMED else ""
        raise CommandError(f"Whose chat? Name one with --user: {names}{more}")
    return several[0]


def _leave(number: int, _: Any) -> None:
    sys.exit(128 + number)

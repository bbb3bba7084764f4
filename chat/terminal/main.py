"""The command ``streamchat``."""

import argparse
import asyncio
import getpass
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from chat.terminal.config import (
    Account,
    Choices,
    clean_key,
    clean_url,
    config_path,
    find_account,
    save_account,
)
from chat.terminal.failures import BadConfig, ClientFailed, Refused
from chat.terminal.words import one_line

if TYPE_CHECKING:
    from chat.terminal.app import ChatApp

UNUSABLE, BROKEN_OFF = 2, 130
DESCRIPTION = "Chat in the terminal. Without a command: the chat; login saves an address and a key."
EPILOG = """\
The address and the key are taken from the options, else from STREAMCHAT_URL and
STREAMCHAT_KEY, else from the file that `streamchat login` writes. A key on the command line
can be seen by other users of this machine.

Exit codes: 0 all was answered, 1 an answer failed or was stopped, 2 wrong use or no connection.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="streamchat",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["login"], help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help="Address of the site.")
    parser.add_argument("--key", default="", help="API key, made on its account page.")
    add_choices(parser)
    options = parser.parse_args(argv)
    try:
        if options.command == "login":
            return login(options.url)
        return run(find_account(url=options.url, key=options.key), options)
    except ClientFailed as exc:
        sys.stderr.write(f"Error: {one_line(str(exc))}\n")
        return UNUSABLE
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return BROKEN_OFF


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options that run() takes."""
    parser.add_argument("--model", default="", help="The model to ask; default: the site's.")
    parser.add_argument("--agent", help="The agent to ask; default: the conversation's; '': none.")
    parser.add_argument(
        "--conversation", default="", metavar="ID", help="Go on with that one, or with the 'last'."
    )
    parser.add_argument("--plain", action="store_true", help="Lines of text, for screen readers.")
    parser.add_argument("--ask", metavar="TEXT", help="Answer this one prompt, plainly.")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="Plainly, and nothing but answers."
    )


def run(account: Account, options: argparse.Namespace) -> int:
    """Chat, in whichever form fits the terminal, and return the exit code. Raise ClientFailed."""
    _need("websockets")
    choices = Choices(
        model=options.model,
        agent=options.agent,
        conversation=options.conversation,
        ask=options.ask,
        quiet=options.quiet,
    )
    if options.plain or options.quiet or options.ask is not None or not _has_screen():
        from chat.terminal import plain

        return plain.run(account, choices)
    _need("textual", "Or chat without it: --plain")
    from chat.terminal.app import ChatApp

    app = ChatApp(account, choices)
    asyncio.run(_run_on_screen(app))
    return app.return_code or 0


async def _run_on_screen(app: "ChatApp") -> None:
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):  # Else the terminal would stay as it is.
            loop.add_signal_handler(number, partial(app.exit, return_code=128 + number))
    await app.run_async()


def login(url: str) -> int:
    """Ask for a key, try it, and save it. Raise ClientFailed."""
    url = clean_url(url or input("Address of the site: "))
    if url.startswith("http:") and not Account(url=url, key="").is_local:
        sys.stderr.write("Note: without https others on the network can read the key.\n")
    key = getpass.getpass("API key: ") if sys.stdin.isatty() else sys.stdin.readline()
    account = Account(url=url, key=clean_key(key))
    try_out(account)
    path = config_path()
    try:
        save_account(account, path)
    except OSError as exc:
        raise BadConfig(f"{path} cannot be written: {exc.strerror}.") from exc
    sys.stderr.write(f"Saved in {path}. Now: streamchat\n")
    return 0


def try_out(account: Account) -> None:
    """Raise ClientFailed unless the site takes the key."""
    from chat.terminal.api import Api

    try:
        asyncio.run(Api(account).models())
    except Refused as exc:
        raise BadConfig(f"{account.url} does not answer as a chat: {exc.message}") from exc


def _has_screen() -> bool:
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM") != "dumb"


def _need(package: str, otherwise: str = "") -> None:
    try:
        found = importlib.util.find_spec(package)
    except ValueError:  # It is kept from being imported.
        found = None
    if found is None:
        hint = "It comes with: pip install 'chatsite[cli]'."
        raise BadConfig(f"The package {package} is not installed. {hint} {otherwise}".strip())

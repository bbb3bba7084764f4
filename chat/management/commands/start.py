import asyncio
import errno
import importlib.util
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.http.request import validate_host
from django.urls import reverse
from django.utils.module_loading import import_string

from chat import setup_link
from chat.conf import chat_settings, data_dir
from chat.eventlog import BACKENDS, BaseEventLog
from chat.guests import people
from chat.llm.registry import default_model
from chat.management.data_folder import FolderInUse, announce_in, hold
from chat.management.limits import give_up_the_vanished

# Where one listens, and where that can be reached from here.
EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


class Command(BaseCommand):
    help = "Serve the chat from this process: everything that a small site needs."

    # The server's own errors are the useful ones; `make check` runs the rest.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="Default: %(default)s.")
        parser.add_argument("--port", type=int, default=8000, help="Default: %(default)s; 0: any.")
        parser.add_argument("--server", choices=["daphne", "uvicorn"], default="daphne")
        parser.add_argument(
            "--workers", type=int, default=1, help="Processes, with uvicorn and PostgreSQL."
        )

    def handle(self, *, host: str, port: int, server: str, workers: int, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _leave)  # Until the server takes the signals over.
        # None of the checks that open the database: whose it is will be known only then.
        self.check(databases=[], display_num_errors=False)
        _check_server(server, workers)
        self._host = host.strip("[]")
        try:
            with ExitStack() as stack:
                # Where processes work together, several may use the folder.
                folder = data_dir()
                announce: Callable[[str], None] = partial(announce_in, folder)
                if _obstacle_to_processes():
                    announce = stack.enter_context(hold(folder)).announce
                listener = stack.enter_context(_claim(self._host, port))
                self._serve(server, workers, listener, announce)
        except FolderInUse as exc:
            raise CommandError(f"{exc} Stop it, or set CHAT_DATA_DIR to another folder.") from exc
        except KeyboardInterrupt:
            pass

    def _serve(
        self, server: str, workers: int, listener: socket.socket, announce: Callable[[str], None]
    ) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        setup_token = self._offer_setup()
        address = f"http://{_netloc(self._host, listener.getsockname()[1])}"

        def welcome(model: str) -> None:
            announce(address)
            self._welcome(address, host=self._host, model=model, setup_token=setup_token)

        if server == "uvicorn":
            _serve_by_uvicorn(workers, listener, welcome)
        else:
            _serve_by_daphne(listener, welcome)

    def _offer_setup(self) -> str:
        """Return the token of a new set-up link, or nothing where there is an account."""
        if people().exists():
            setup_link.forget()
            return ""
        return setup_link.renew()

    def _welcome(self, address: str, *, host: str, model: str, setup_token: str) -> None:
        lines = [f"Chat      {address}", f"Model     {model}"]
        if model == "demo":
            lines += [
                "          Canned answers. For real ones start Ollama, or set OPENAI_API_KEY,",
                "          or OPENAI_BASE_URL for any other OpenAI-compatible server.",
            ]
        if setup_token:
            lines += [
                f"Account   {address}{reverse('chat:setup', args=[setup_token])}",
                "          Open this link, once, to make the first account.",
            ]
        name = EVERY_INTERFACE.get(host, host)
        if not validate_host(_bracketed(name), settings.ALLOWED_HOSTS):
            lines.append(f"Note      Set ALLOWED_HOSTS={name} or requests to {name} are refused.")
        elif name != host:
            lines.append("Note      For other machines, set ALLOWED_HOSTS to the names they use.")
        lines.append("Ctrl-C ends it.")
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _netloc(host: str, port: int) -> str:
    return f"{_bracketed(EVERY_INTERFACE.get(host, host))}:{port}"


def _serve_by_daphne(listener: socket.socket, welcome: Callable[[str], None]) -> None:
    from chat.management.server import ChatServer, twisted_loop

    host, port = listener.getsockname()[:2]
    application = import_string(settings.ASGI_APPLICATION)
    # On the server's own loop, which is where what they begin goes on.
    model = twisted_loop.run_until_complete(default_model())
    twisted_loop.run_until_complete(application.startup())
    listener.close()  # Twisted makes one of its own.
    server = ChatServer(application, host=host, port=port, on_ready=lambda _: welcome(model))
    server.run()
    if server.failure:
        raise CommandError(f"The chat cannot listen on {host}:{port}: {server.failure}")


def _serve_by_uvicorn(
    workers: int, listener: socket.socket, welcome: Callable[[str], None]
) -> None:
    from chat.management.uvicorn_server import WorkersFailed, serve

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    model = loop.run_until_complete(default_model())
    try:
        serve(loop, workers=workers, listener=listener, on_ready=lambda: welcome(model))
    except WorkersFailed as exc:
        raise CommandError(f"{exc} Its output, above, says why.") from exc


def _check_server(server: str, workers: int) -> None:
    if workers < 1:
        raise CommandError("--workers must be at least 1.")
    if server == "uvicorn" and importlib.util.find_spec("uvicorn") is None:
        raise CommandError("uvicorn is not installed. Install it: pip install '.[server]'")
    if workers > 1 and server != "uvicorn":
        raise CommandError("Daphne is one process. For several: --server uvicorn")
    if workers > 1 and (obstacle := _obstacle_to_processes()):
        raise CommandError(f"{obstacle} Until then, start one worker.")


def _obstacle_to_processes() -> str:
    """Return what keeps several processes from serving one site, or nothing."""
    if connection.vendor == "sqlite":
        return "Several processes need PostgreSQL: set DATABASE_URL."
    name = chat_settings().event_log
    log: type[BaseEventLog] = import_string(BACKENDS.get(name, name))
    if not log.supports_many_processes:
        return f"The event log {name!r} serves one process: set CHAT_EVENT_LOG to another."
    return ""


def _claim(host: str, port: int) -> socket.socket:
    """Return a socket bound there. Raise CommandError, before the database is touched."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, where = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        give_up_the_vanished(listener)
        listener.bind(where)
    except PermissionError:
        raise CommandError(f"Port {port} needs more rights. Choose one above 1023.") from None
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            hint = f"make run PORT={port + 1}"
            raise CommandError(f"Port {port} is taken. Choose another: {hint}") from None
        raise CommandError(f"The chat cannot listen on {host}:{port}: {exc}") from None

    return listener


def _leave(*_: Any) -> None:
    sys.exit(0)

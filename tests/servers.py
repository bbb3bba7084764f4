"""
Real servers for tests: the site, Redis, PostgreSQL, nginx, each a process of its own.

All listen on loopback, on a free port, and keep their files in a folder that
goes with them. What one has printed stands in ``output``; it is shown with
every test that fails meanwhile.
"""

import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.shell import BASE_DIR, run_in

START_SECONDS = 60
STOP_SECONDS = 20

# Of the surrounding environment, what would change how a site behaves.
OURS = re.compile(
    r"(CHAT_|OPENAI_|OLLAMA_|LANGSMITH_|LANGCHAIN_|DJANGO_)|"
    r"(DATABASE_URL|REDIS_URL|SECRET_KEY|ALLOWED_HOSTS|CSRF_TRUSTED_ORIGINS|HTTPS|DEBUG|"
    r"LOG_LEVEL|LOG_FORMAT|TIME_ZONE|WEB_CONCURRENCY|HOST|PORT)$"
)

# Those inside their block, whether or not their process still runs.
running: "list[Server]" = []


class ServerFailed(AssertionError):
    """Raised when a server does not come up, or a command of the site fails."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One process. A context manager: up inside the block, gone after it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"chat-{type(self).__name__.lower()}-"))
        self.log = self.folder / "output.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_up(self) -> bool:
        raise NotImplementedError

    def popen_options(self) -> dict[str, Any]:
        return {}

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=BASE_DIR,
                start_new_session=True,
                **self.popen_options(),
            )
        if self not in running:
            running.append(self)
        deadline = time.monotonic() + START_SECONDS
        while not self.is_up():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ServerFailed(f"{type(self).__name__} did not start:\n{self.output}")
            time.sleep(0.02)
        return self

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Return the exit code. Raise subprocess.TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> int | None:
        """End the process, gently first, and return its exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it as a crash would: nothing of its own runs any more."""
        assert self.process is not None
        # The group: a server with workers leaves none behind.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.wait()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.stop()
        if self in running:
            running.remove(self)
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def migrated_database() -> bytes:
    """Return an empty site's SQLite file; migrating anew for each site would take seconds."""
    with tempfile.TemporaryDirectory() as folder:
        _migrate(CHAT_DATA_DIR=folder)
        return (Path(folder) / "db.sqlite3").read_bytes()


def _migrate(**env: str) -> None:
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    done = subprocess.run(
        command, cwd=BASE_DIR, env=_environment(env), capture_output=True, text=True
    )
    if done.returncode:
        raise ServerFailed(done.stdout + done.stderr)


def _environment(extra: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return kept | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"} | extra


class Site(Server):
    """
    The chat, talking to a model server of the test's own.

    ``upstream`` is shared if given, else made and ended with the site. ``env``
    holds more variables; a value of None leaves a default one out.
    """

    address = re.compile(r"http://127\.0\.0\.1:(\d+)")

    def __init__(
        self,
        *,
        upstream: Any = None,
        env: dict[str, str | None] | None = None,
        fresh: bool = False,
    ) -> None:
        super().__init__()
        self.data_dir = self.folder / "data"
        self.data_dir.mkdir()
        self._extra = env or {}
        self._fresh = fresh or "DATABASE_URL" in self._extra
        self._owns_upstream = upstream is None
        self.upstream = upstream
        self.port = 0
        self._read_from = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def env(self) -> dict[str, str]:
        ours = {
            "CHAT_DATA_DIR": str(self.data_dir),
            "OPENAI_BASE_URL": self.upstream.base_url if self.upstream else None,
            "OPENAI_API_KEY": "sk-upstream",
            "CHAT_MODEL": "openai:fake",
            # Tests end sites in mid-answer all the time; those of the drain set their own.
            "CHAT_DRAIN_SECONDS": "0",
        } | self._extra
        return _environment({name: value for name, value in ours.items() if value is not None})

    def popen_options(self) -> dict[str, Any]:
        return {"env": self.env}

    def start(self) -> Self:
        if self.upstream is None and self._extra.get("OPENAI_BASE_URL", "") is not None:
            from tests.upstream import FakeUpstream

            self.upstream = FakeUpstream().__enter__()
        database = self.data_dir / "db.sqlite3"
        if not self._fresh and not database.exists():
            database.write_bytes(migrated_database())
        self._read_from = len(self.output)
        return super().start()

    def is_up(self) -> bool:
        found = self.address.search(self.output, self._read_from)
        if not found:
            return False
        self.port = int(found[1])
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def restart(self) -> Self:
        """Stop it and start it again, on the same port and data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        super().close()
        if self._owns_upstream and self.upstream is not None:
            self.upstream.__exit__(None, None, None)
            self.upstream = None

    def manage(self, *args: str) -> str:
        """Run a management command on the site's data and return what it prints."""
        command = [sys.executable, "manage.py", *args]
        done = subprocess.run(
            command,
            cwd=BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ServerFailed(f"{args} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def run(self, code: str) -> str:
        """Run Python code on the site's data and return what it prints."""
        if self.env["DJANGO_SETTINGS_MODULE"] == "tests.settings":
            return run_in(self.env, code)
        return self.manage("shell", "-v0", "-c", code)

    def create_user(
        self, username: str = "ada", password: str = "correct horse", *, staff: bool = False
    ) -> None:
        create = "create_superuser" if staff else "create_user"
        self.run(
            "from django.contrib.auth import get_user_model as model;"
            f"model().objects.{create}(username={username!r}, password={password!r})",
        )

    def create_api_key(self, username: str = "ada") -> str:
        printed = self.run(
            "from chat.management.people import find_user\n"
            "from chat.models import ApiKey\n"
            f"print(ApiKey.objects.create_key(find_user({username!r}))[1])"
        )
        return printed.strip()

    def login(self, username: str = "ada", password: str = "correct horse") -> dict[str, str]:
        """Sign in as the browser does, and return the cookies."""
        with httpx.Client(base_url=self.url) as client:
            client.get("/accounts/login/").raise_for_status()
            form = {
                "username": username,
                "password": password,
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
            }
            answer = client.post("/accounts/login/", data=form)
            if "sessionid" not in client.cookies:
                raise ServerFailed(f"{username} cannot sign in: {answer.status_code}")
            return dict(client.cookies)


class DaphneSite(Site):
    """The site as ``manage.py start`` serves it."""

    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "start", "--port", str(self.port)]


class UvicornSite(Site):
    """The site as a production deployment serves it."""

    def __init__(self, *, workers: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self.workers = workers

    def command(self) -> list[str]:
        options = ["--server", "uvicorn", "--workers", str(self.workers)]
        return [sys.executable, "manage.py", "start", "--port", str(self.port), *options]


class WorkerProcess(Server):
    """A process that writes the answers a site accepts. The site's upstream must be up."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.site = site
        self._read_from = 0

    def command(self) -> list[str]:
        return [sys.executable, "manage.py", "worker"]

    def popen_options(self) -> dict[str, Any]:
        return {"env": self.site.env}

    def start(self) -> Self:
        self._read_from = len(self.output)
        return super().start()

    def is_up(self) -> bool:
        return "answers at once" in self.output[self._read_from :]


class RedisServer(Server):
    """Redis, keeping nothing on disk unless ``durable``."""

    def __init__(self, *, durable: bool = False) -> None:
        super().__init__()
        self.port = free_port()
        self.durable = durable

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        keep = "yes" if self.durable else "no"
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly {keep}".split()
        return ["redis-server", *options, "--save", "", "--dir", str(self.folder)]

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class NginxServer(Server):
    """
    nginx with a configuration of the test's own: what stands inside ``http { … }``.

    It must listen on ``port``. What nginx writes (temporary files, a cache at a
    relative path) goes below ``folder``; its errors stand in ``output``.
    """

    def __init__(self, http: str, *, port: int) -> None:
        super().__init__()
        self.port = port
        # As root nginx would serve as somebody who cannot enter the folder.
        user = "" if os.geteuid() else "user root;"
        temporary = "\n".join(
            f"{kind}_temp_path {kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"{user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\n"
            f"events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; {temporary}\n{http}\n}}\n"
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        return [nginx or "nginx", "-e", "stderr", "-p", str(self.folder), "-c", "nginx.conf"]

    def is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


class PostgresServer(Server):
    """PostgreSQL with the superuser ``postgres`` and no password."""

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.data_dir = self.folder / "data"
        self.bin = max(
            Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
        )

    def popen_options(self) -> dict[str, Any]:
        # It refuses to run as root, which CI is.
        if os.geteuid():
            return {}
        return {"user": "postgres", "group": "postgres", "extra_groups": []}

    def start(self) -> Self:
        if not self.data_dir.exists():
            options = self.popen_options()
            if options:
                shutil.chown(self.folder, options["user"], options["group"])
            arguments = ["-D", str(self.data_dir), "-U", "postgres", "-A", "trust", "--no-sync"]
            arguments += ["-E", "UTF8", "--locale", "C.UTF-8"]
            with self.log.open("ab") as log:
                subprocess.run(
                    [self.bin / "initdb", *arguments],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    **options,
                )
        return super().start()

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "max_connections": 200,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.data_dir), *options]

    def stop(self) -> int | None:
        # Its SIGTERM waits for clients to leave; SIGINT does not.
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                return self.wait()
        return super().stop()

    def is_up(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url_of(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str = "chat", *, empty: bool = False) -> str:
        """Return the URL of a new database: as `migrate` leaves it, which is a copy, or empty."""
        template = "template1" if empty else self.migrated
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url_of(name)

    @functools.cached_property
    def migrated(self) -> str:
        """The name of a database as `migrate` leaves it, of which others are copies."""
        url = self.create_database("migrated", empty=True)
        _migrate(DATABASE_URL=url)
        return "migrated"

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

"""The servers that are compared: how each is started, and which dialect it speaks."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.peers import environments
from bench.process import ROOT, NotStarted, Process, free_port, python


@dataclass(frozen=True, slots=True)
class Site:
    """Where a server runs: its own directory and port, and the upstream it asks."""

    directory: Path
    port: int
    upstream: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.upstream}/v1",
            "OPENAI_API_KEY": "bench",
            "LANGSMITH_TRACING": "false",
            "CHAINLIT_APP_ROOT": str(self.directory),  # It writes its configuration there.
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """
    One way to bring tokens to a reader.

    ``needs`` are modules, programs or files; ``peer`` names an environment of its own.
    """

    name: str
    dialect: str
    command: Callable[[Site], list[str]]
    needs: tuple[str, ...] = ()
    peer: str = ""
    product: bool = False

    def missing(self) -> list[str]:
        missing = [need for need in self.needs if not present(need)]
        if self.peer and not environments.is_ready(self.peer):
            missing.append(f"{self.peer} (make bench-peers)")
        return missing


@dataclass(slots=True)
class Running:
    """A server that accepts connections, and the keys of its users: see `create_users`."""

    server: Server
    port: int
    process: Process
    keys: list[str] = field(default_factory=list)


def present(need: str) -> bool:
    if "/" in need or need.endswith(".py"):
        return (ROOT / need).exists()
    return shutil.which(need) is not None or importlib.util.find_spec(need) is not None


def uvicorn(application: str, interpreter: str = sys.executable) -> Callable[[Site], list[str]]:
    def command(site: Site) -> list[str]:
        options = ["--port", str(site.port), "--log-level", "warning", "--no-access-log"]
        return [interpreter, "-m", "uvicorn", application, "--backlog", "4096", *options]

    return command


def daphne(application: str) -> Callable[[Site], list[str]]:
    def command(site: Site) -> list[str]:
        options = ["-b", "127.0.0.1", "-p", str(site.port), "-v", "0"]
        return python("-m", "daphne", *options, application)

    return command


def chainlit(site: Site) -> list[str]:
    run = ["run", "bench/peers/chainlit_app.py", "--headless", "--port", str(site.port)]
    return [environments.interpreter("chainlit"), "-m", "chainlit", *run]


def start_command(site: Site) -> list[str]:
    return python("manage.py", "start", "--port", str(site.port))


def nginx(site: Site) -> list[str]:
    template = (ROOT / "bench" / "peers" / "nginx.conf").read_text()
    values = {"directory": site.directory, "port": site.port, "upstream": site.upstream}
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    path = site.directory / "nginx.conf"
    path.write_text(template)
    return ["nginx", "-e", "stderr", "-p", str(site.directory), "-c", str(path)]


def product_environment(site: Site) -> dict[str, str]:
    """Return the product's settings: its defaults, with the limits out of the way."""
    limits = ("RUNNING_PER_USER", "READERS_PER_USER", "READERS")
    return site.environment | {
        "CHAT_DATA_DIR": str(site.directory),
        "CHAT_MODEL": "openai:bench:250@50",
        "CHAT_TITLES": "off",
        "CHAT_MESSAGES_PER_MINUTE": "1000000",
        **{f"CHAT_MAX_{name}": "10000" for name in limits},
    }


def create_users(environment: dict[str, str], module: str, *arguments: str) -> list[str]:
    """Fill a new database by a module of the benchmark; return the keys that it printed."""
    command = python("-m", f"bench.{module}", *arguments)
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        raise NotStarted((done.stderr.strip().splitlines() or ["no users"])[-1])
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("key:")]


@contextmanager
def running(
    server: Server, *, upstream: int, users: int = 1, fill: tuple[str, ...] = ()
) -> Iterator[Running]:
    """
    Start a server in a directory of its own; stop it and remove that afterwards.

    ``fill`` is the module, with its arguments, that makes other users than those with a key.
    """
    with TemporaryDirectory(prefix="bench-") as name:
        site = Site(Path(name), free_port(), upstream)
        environment = product_environment(site) if server.product else site.environment
        keys = create_users(environment, *(fill or ("users", str(users)))) if server.product else []
        log = site.directory / "server.log"
        process = Process(server.command(site), log=log, env=environment)
        try:
            process.wait_for_port(site.port)
            yield Running(server, site.port, process, keys)
        finally:
            process.stop()


NGINX = Server(name="nginx, proxy", dialect="openai", command=nginx, needs=("nginx",))
RAW = Server(
    name="raw pass-through, SSE, uvicorn",
    dialect="openai",
    command=uvicorn("bench.peers.raw:application"),
    needs=("uvicorn", "aiohttp"),
)
FASTAPI = Server(
    name="FastAPI and a chain, SSE",
    dialect="question",
    command=uvicorn("bench.peers.fastapi_chain:application"),
    needs=("uvicorn", "fastapi", "langchain_openai"),
)
NAIVE = Server(
    name="naive consumer, WebSocket, Daphne",
    dialect="naive",
    command=daphne("bench.peers.naive_channels:application"),
    needs=("daphne", "channels", "langchain_openai"),
)
BURR = Server(
    name="Burr, SSE, uvicorn",
    dialect="question",
    command=uvicorn("bench.peers.burr_stream:application", environments.interpreter("burr")),
    peer="burr",
)
CHAINLIT = Server(
    name="Chainlit, Socket.IO, uvicorn",
    dialect="chainlit",
    command=chainlit,
    peer="chainlit",
)
CHAT = Server(
    name="chat, WebSocket, Daphne",
    dialect="socket",
    command=start_command,
    needs=("chat/management/commands/start.py", "chat/consumers.py"),
    product=True,
)
CHAT_UVICORN = Server(
    name="chat, WebSocket, uvicorn",
    dialect="socket",
    command=uvicorn("chatsite.asgi:application"),
    needs=("uvicorn", "websockets", "chatsite/asgi.py", "chat/consumers.py"),
    product=True,
)
CHAT_SSE = Server(
    name="chat, SSE, Daphne",
    dialect="events",
    command=start_command,
    needs=("chat/management/commands/start.py", "chat/views/api.py"),
    product=True,
)

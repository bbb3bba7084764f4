"""What a server's process holds, read from the system: nothing of the product is asked."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.guarantees.clients import Person
from tests.servers import Server

# As the kernel's table of TCP connections has them.
ESTABLISHED, CLOSE_WAIT = "01", "08"


def _proc(server: Server) -> Path:
    assert server.process is not None
    return Path(f"/proc/{server.process.pid}")


def rss(server: Server) -> int:
    """Return the process's memory in bytes."""
    pages = int((_proc(server) / "statm").read_text().split()[1])
    return pages * 4096


def warm_up(person: Person) -> None:
    """Have an answer written, so that all is loaded that is loaded for the first one."""
    person.ended(person.ask("Load.", model="openai:words:5"))


def warmed_rss(person: Person) -> int:
    """Return the memory of a person's site once it is warm."""
    warm_up(person)
    return rss(person.site)


def sockets(server: Server) -> int:
    """
    Return how many of its clients' connections the process has not closed.

    Not those that it has itself, with databases and models: they come and go as they please.
    """
    number = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        is_ours = int(local.rpartition(":")[2], 16) == server.port
        number += is_ours and state in (ESTABLISHED, CLOSE_WAIT)
    return number


def threads(server: Server) -> int:
    return len(list((_proc(server) / "task").iterdir()))


def spooled(server: Server) -> int:
    """Return the bytes it keeps in temporary files, deleted ones too."""
    total = 0
    for path in (_proc(server) / "fd").iterdir():
        with suppress(FileNotFoundError, OSError):
            target = str(path.readlink())
            if target.startswith("/tmp") and str(server.folder) not in target:
                total += path.stat().st_size
    return total


def wait_until(condition: Callable[[], Any], *, seconds: float = 20.0) -> Any:
    """Return the condition's first true value. Raise AssertionError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "It did not come about."
        time.sleep(0.05)
    return found

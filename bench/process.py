"""Processes of the benchmark: started, measured from /proc, stopped by their own id."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parent.parent


class NotStarted(Exception):
    """Raised when a server does not come up."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children have used: CPU seconds, and bytes of memory now."""

    cpu: float
    rss: int

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.cpu - other.cpu, self.rss - other.rss)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fields_of(pid: int) -> list[str]:
    """Return the fields of a process's stat that follow its name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(fields_of(int(entry.name))[1])
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Process:
    """A child process with its output in a file."""

    def __init__(self, command: list[str], *, log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def usage(self) -> Usage:
        cpu, rss = 0, 0
        for pid in family(self.process.pid):
            with contextlib.suppress(OSError):
                user, system = fields_of(pid)[11:13]
                cpu += int(user) + int(system)
                rss += resident(pid)
        return Usage(cpu / TICKS, rss)

    def wait_for_port(self, port: int, timeout: float = 30) -> None:
        """Return when the port accepts connections. Raise NotStarted if it never does."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise NotStarted(last[0] if last else "no output")

    def stop(self) -> None:
        """End the process and what it started; by force if it does not obey."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                return


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]

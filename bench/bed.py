"""What stays up for a whole run, the upstream, and how a load is put on a server."""

import http.client
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.process import ROOT, Process, Usage, free_port, python
from bench.servers import Running

SETTLE = 0.5  # Seconds after a load in which a server finishes what its readers do not wait for.

READY = "ready\n"  # What a client says, and is told, between opening and asking.


@dataclass(frozen=True, slots=True)
class Measured:
    """One load: what the readers saw, and what it cost every process taking part."""

    result: dict[str, Any]
    before: Usage
    after: Usage
    upstream: float
    upstream_delay: float

    @property
    def cpu(self) -> float:
        return (self.after - self.before).cpu

    def row(self) -> dict[str, Any]:
        """Return the figures that every scenario may show."""
        result = self.result
        seconds = result["seconds"]
        return result | {
            "us_per_token": self.cpu * 1e6 / result["tokens"] if result["tokens"] else None,
            "cpu": self.cpu,
            "rss_before": self.before.rss / 2**20,
            "rss": self.after.rss / 2**20,
            "wire": result["wire_bytes"] / result["text_bytes"] if result["text_bytes"] else None,
            "busy": 100 * self.cpu / seconds,
            "client_busy": 100 * result["cpu"] / seconds,
            "upstream_busy": 100 * self.upstream / seconds,
            "upstream_delay": self.upstream_delay,
        }


class Bed:
    """The upstream, and loads put on one server at a time."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        log = directory / "upstream.log"
        self.upstream = Process(python("-m", "bench.upstream", str(self.port)), log=log)
        self.upstream.wait_for_port(self.port)

    def stop(self) -> None:
        self.upstream.stop()

    def report(self) -> dict[str, float]:
        """Return what the upstream did since the last report."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("GET", "/report")
            found: dict[str, float] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def measure(self, live: Running, **job: object) -> Measured:
        """Put one load on a server and return what it cost."""
        return self.around(live, lambda: finish(spawn_client(live, job)))

    def measure_held(self, live: Running, **job: object) -> tuple[Measured, Usage]:
        """
        Do as ``measure`` for a job that first opens all its connections.

        The cost counts from when all are open; what the server used before any
        was open is returned as well.
        """
        start = live.process.usage()
        client = spawn_client(live, job)
        assert client.stdout is not None
        line = client.stdout.readline()
        time.sleep(SETTLE)
        return self.around(live, lambda: finish(client, line)), start

    def measure_started(self, live: Running, **job: Any) -> tuple[float, dict[str, Any]]:
        """
        Return the CPU seconds from the first question until the last request to the model.

        For a job that opens its connections first, and whose answers are held
        back until all have been asked for. And the client's result.
        """
        client = spawn_client(live, job)
        assert client.stdout is not None
        assert client.stdin is not None
        line = client.stdout.readline()
        time.sleep(SETTLE)
        self.report()
        before = live.process.usage()
        client.stdin.write(READY)
        client.stdin.flush()
        asked, until = 0, time.monotonic() + job["hold"]
        while asked < job["readers"] and time.monotonic() < until:
            time.sleep(0.02)
            asked += int(self.report()["requests"])
        used = live.process.usage() - before
        return used.cpu, finish(client, line)

    def around(self, live: Running, load: Callable[[], dict[str, Any]]) -> Measured:
        """Run a load and return its result with what every process used meanwhile."""
        self.report()
        before, upstream = live.process.usage(), self.upstream.usage().cpu
        result = load()
        spent, delay = self.upstream.usage().cpu - upstream, self.report()["worst_delay_ms"]
        time.sleep(SETTLE)
        return Measured(result, before, live.process.usage(), spent, delay)


def spawn_client(live: Running, job: dict[str, object]) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        python("-m", "bench.client"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    job = {"dialect": live.server.dialect, "port": live.port, "keys": live.keys} | job
    client.stdin.write(json.dumps(job) + "\n")
    client.stdin.flush()
    return client


def finish(client: subprocess.Popen[str], line: str = READY) -> dict[str, Any]:
    """Let a client go on and return its result, which is ``line`` if it failed before."""
    rest, _ = client.communicate(READY)
    result: dict[str, Any] = json.loads(rest if line == READY else line)
    return result

"""P8: what a page costs somebody who has used the chat for long, and somebody who has not."""

import http.client
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from bench.bed import Bed
from bench.grown import EVERYWHERE, SOMEWHERE
from bench.process import NotStarted
from bench.servers import Running, Server, running

SMALL = ("100", "100")  # Chats, and messages of one chat.
LARGE = ("100000", "10000")
WARM, TIMES, FEW = 3, 25, 3
IDLE = 0.05  # Seconds of CPU within half a second.
# What is asked for, and whose headers it is asked with.
WORK = {
    "list": ("/api/v1/conversations/", "key"),
    "sidebar": ("/", "collector"),
    "search": (f"/api/v1/conversations/?q={SOMEWHERE}", "key"),
    "common": (f"/api/v1/conversations/?q={EVERYWHERE}", "key"),
    "opening": ("/c/{conversation}/", "talker"),
}
BOUNDED = ("list", "sidebar", "search", "opening")  # The last one finds more where there is more.


def growth(bed: Bed, server: Server) -> dict[str, Any]:
    """Ask a small site and a large one in turn for the same pages."""
    with ExitStack() as stack:
        sites = [
            Grown(stack.enter_context(running(server, upstream=bed.port, fill=("grown", *size))))
            for size in (SMALL, LARGE)
        ]
        row: dict[str, Any] = {"failures": {}, "answers": 0}
        for site in sites:
            site.settle()
        for name in WORK:
            small, large = medians(*sites, name)
            row[name] = f"{small:.1f} → {large:.1f}, × {large / small:.1f}"
            row[f"{name}_times"] = large / small
        for site in sites:
            site.connection.close()
    return row | {"worst": max(row[f"{name}_times"] for name in BOUNDED)}


class Grown:
    """A site that `bench.grown` has filled, and one connection to it."""

    def __init__(self, live: Running) -> None:
        key, collector, talker, self.conversation = live.keys
        self.process = live.process
        self.headers: dict[str, Mapping[str, str]] = {
            "key": {"Authorization": f"Bearer {key}"},
            "collector": {"Cookie": collector},
            "talker": {"Cookie": talker},
        }
        self.connection = http.client.HTTPConnection("127.0.0.1", live.port)

    def settle(self, timeout: float = 30) -> None:
        """Ask once, as a site starts some of its work then; return when it has nothing to do."""
        self.seconds("list")
        deadline = time.monotonic() + timeout
        used, before = IDLE, self.process.usage().cpu
        while used >= IDLE and time.monotonic() < deadline:
            time.sleep(0.5)
            now = self.process.usage().cpu
            used, before = now - before, now

    def seconds(self, name: str) -> float:
        """Return how long one answer took, from the request to its last byte."""
        path, whose = WORK[name]
        began = time.perf_counter()
        address = path.format(conversation=self.conversation)
        self.connection.request("GET", address, headers=self.headers[whose])
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise NotStarted(f"{path} was answered with {answer.status}")
        return time.perf_counter() - began


def medians(small: Grown, large: Grown, name: str) -> tuple[float, float]:
    """Return the milliseconds of both, asked in turn: whatever else goes on disturbs both."""
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(WARM + (TIMES if name in BOUNDED else FEW)):
        for times, site in zip(found, (small, large), strict=True):
            seconds = site.seconds(name)
            if turn >= WARM:
                times.append(seconds * 1000)
    return statistics.median(found[0]), statistics.median(found[1])

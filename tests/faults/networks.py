"""
A network of the tests' own: people in a namespace, joined to the site by a cable.

Needs root. `Cable.run()` runs a coroutine function in a thread that lives in the
namespace: what it connects leaves through the cable.
"""

import asyncio
import ctypes
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Self

import pytest

CLONE_NEWNET = 0x40000000
_numbers = count(1)


class Cable:
    """``here`` is the site's address; the people's ends in `address`."""

    def __init__(self) -> None:
        # A namespace, and its cable with it, lives for as long as a thread in it.
        number = next(_numbers)
        self.name = f"faults{os.getpid()}-{number}"
        self.link = f"vf{os.getpid() % 10**7}-{number}"
        self.net = f"10.213.{number}"
        self.here = f"{self.net}.1"
        self.address = 2

    def __enter__(self) -> Self:
        done = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"NOT PROVEN: a network namespace needs root: {done.stderr}")
        try:
            ip("link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("addr", "add", f"{self.here}/24", "dev", self.link)
            ip("link", "set", self.link, "up")
            self.inside("addr", "add", f"{self.net}.{self.address}/24", "dev", "eth0")
            self.inside("link", "set", "eth0", "up")
            self.inside("link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        ip("netns", "del", self.name)
        subprocess.run(["ip", "link", "del", self.link], capture_output=True)  # If it is left.

    def inside(self, *args: str) -> None:
        ip("-n", self.name, *args)

    def cut(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        ip("link", "set", self.link, "down")

    def join(self) -> None:
        ip("link", "set", self.link, "up")

    def move(self) -> None:
        """Give the people another address, as another network does."""
        old = f"{self.net}.{self.address}/24"
        self.address += 1
        self.inside("addr", "del", old, "dev", "eth0")
        self.inside("addr", "add", f"{self.net}.{self.address}/24", "dev", "eth0")

    def run(self, work: Callable[[], Awaitable[Any]]) -> "threading.Thread":
        """Start a thread in the namespace; its ``outcome`` is what ``work`` returned or raised."""
        thread = _Inside(self.name, work)
        thread.start()
        return thread


class _Inside(threading.Thread):
    outcome: Any = None

    def __init__(self, namespace: str, work: Callable[[], Awaitable[Any]]) -> None:
        super().__init__(daemon=True)
        self.namespace = namespace
        self.work = work

    def run(self) -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/run/netns/{self.namespace}") as file:
                if libc.setns(file.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            self.outcome = asyncio.run(self._work())
        except BaseException as exc:
            self.outcome = exc

    async def _work(self) -> Any:
        return await self.work()


def ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def connections(port: int, *, peer: str = "") -> int:
    """Return how many connections to a port the kernel here holds as established."""
    wanted = _hex(peer) if peer else ""
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file][1:]
    return sum(
        row[3] == "01" and row[1].endswith(f":{port:04X}") and row[2].startswith(wanted)
        for row in rows
    )


def _hex(address: str) -> str:
    return "".join(f"{int(part):02X}" for part in reversed(address.split(".")))

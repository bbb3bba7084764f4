"""One process at a time may serve a data folder."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


class FolderInUse(Exception):
    """Another process serves the folder; ``pid`` and ``address`` are empty if not yet known."""

    def __init__(self, *, pid: str, address: str) -> None:
        self.pid = pid
        self.address = address

    def __str__(self) -> str:
        where = f" at {self.address}" if self.address else ""
        who = f" (process {self.pid})" if self.pid else ""
        return f"The chat already runs{where}{who}."


class HeldFolder:
    """The proof that this process serves the folder."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.announce("")

    def announce(self, address: str) -> None:
        """Leave the address for whoever tries to serve the same folder, or looks for the site."""
        _note(self._file, address)


@contextmanager
def hold(folder: Path) -> Iterator[HeldFolder]:
    """
    Hold the folder for as long as the block runs. Raise FolderInUse.

    The system lets go of the lock with the process, however that ends: a crash
    leaves nothing to clean up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderInUse(**_holder(file)) from None
        yield HeldFolder(file)


def announce_in(folder: Path, address: str) -> None:
    """
    Leave the address in a folder that several processes may use, for whoever looks for the site.

    The last one to start is found. A folder that cannot be written to is left alone.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "a+") as file:
            _note(file, address)


def find_address(folder: Path) -> str:
    """Return where a process of this machine serves the folder's site; nothing if none does."""
    try:
        with open(folder / "lock") as file:
            holder = _holder(file)
        os.kill(int(holder["pid"]), 0)
    except PermissionError:
        return holder["address"]  # It lives, and is somebody else's.
    except (OSError, ValueError):
        return ""
    return holder["address"]


def _note(file: IO[str], address: str) -> None:
    file.seek(0)
    file.truncate()
    json.dump({"pid": str(os.getpid()), "address": address}, file)
    file.flush()


def _holder(file: IO[str]) -> dict[str, str]:
    file.seek(0)
    try:
        found = json.load(file)
        return {"pid": found["pid"], "address": found["address"]}
    except (ValueError, KeyError):  # It has just begun, and written nothing yet.
        return {"pid": "", "address": ""}

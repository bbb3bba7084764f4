"""One process at a time may serve a data folder."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
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
        """Leave the address for whoever tries to serve the same folder."""
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": str(os.getpid()), "address": address}, self._file)
        self._file.flush()


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


def _holder(file: IO[str]) -> dict[str, str]:
    file.seek(0)
    try:
        found = json.load(file)
        return {"pid": found["pid"], "address": found["address"]}
    except (ValueError, KeyError):  # It has just begun, and written nothing yet.
        return {"pid": "", "address": ""}

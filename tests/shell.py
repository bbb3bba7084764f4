"""
What `manage.py shell -c` does, without its second of start: one process runs the code of all tests.

    {"env": {…}, "code": "…"}    a line of its input, with the variables of a site
    {"printed": "…"}             its answer; or "error", a traceback

Only for the product's own settings, of which a site's variables may change the database and the
secret key. All else is as the first site has it.
"""

import atexit
import functools
import importlib
import io
import json
import os
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent


class ShellFailed(AssertionError):
    """Raised when the code has; with its traceback."""


def run_in(env: dict[str, str], code: str) -> str:
    """Run code on the database of the site with these variables. Return what it prints."""
    shell = _shell(os.getpid())
    assert shell.stdin
    assert shell.stdout
    shell.stdin.write(json.dumps({"env": env, "code": code}) + "\n")
    shell.stdin.flush()
    line = shell.stdout.readline()
    if not line:
        raise ShellFailed("It has ended; what it said stands among the test run's errors.")
    answer = json.loads(line)
    if "error" in answer:
        raise ShellFailed(answer["error"])
    return str(answer["printed"])


@functools.cache  # For each process: a fork must not share its parent's pipes.
def _shell(_pid: int) -> "subprocess.Popen[str]":
    shell = subprocess.Popen(
        [sys.executable, "-m", "tests.shell"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=BASE_DIR,
        text=True,
        start_new_session=True,
    )
    atexit.register(_end, shell)
    return shell


def _end(shell: "subprocess.Popen[str]") -> None:
    shell.communicate()


def _main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                _run(**asked)
        except Exception:
            answer = {"error": traceback.format_exc()}
        else:
            answer = {"printed": printed.getvalue()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _run(env: dict[str, str], code: str) -> None:
    os.environ.clear()
    os.environ.update(env)
    import django
    from django.apps import apps
    from django.db import connection

    if apps.ready:
        _change_settings()
    else:
        django.setup()

    try:
        exec(code, {})
    finally:
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()


def _change_settings() -> None:
    from django.conf import settings
    from django.db import connections

    importlib.reload(sys.modules["tests.settings"])  # It sets variables that the next one reads.
    read = importlib.reload(sys.modules["chatsite.settings"])
    settings.SECRET_KEY = read.SECRET_KEY
    database: dict[str, Any] = connections.configure_settings(read.DATABASES)["default"]
    connections.settings["default"] = database
    del connections["default"]


if __name__ == "__main__":
    _main()

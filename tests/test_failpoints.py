import signal
import subprocess
import sys

import pytest
from django.core.checks import run_checks

from chat import failpoints

PROGRAM = """
from chat.failpoints import reach
for number in range(1, 5):
    print(number, flush=True)
    reach("after-append")
"""


def run(value=None):
    env = {} if value is None else {failpoints.VARIABLE: value}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)


def test_a_process_dies_at_the_nth_time():
    ended = run("after-append:3")
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == ["1", "2", "3"]


def test_without_a_number_it_dies_the_first_time():
    assert run("after-append").stdout.split() == ["1"]


@pytest.mark.parametrize("value", [None, "", "before-append"])
def test_a_point_that_is_not_named_is_passed(value):
    ended = run(value)
    assert (ended.returncode, len(ended.stdout.split())) == (0, 4)


def test_a_point_that_does_not_exist_is_refused():
    ended = run("after-apend")
    assert ended.returncode == 1
    assert "no such point" in ended.stderr


@pytest.mark.django_db  # Which fields a database has is one of the checks.
def test_the_variable_is_no_misspelt_setting(monkeypatch):
    monkeypatch.setenv(failpoints.VARIABLE, "after-append")
    assert [found for found in run_checks() if "FAILPOINT" in found.msg] == []

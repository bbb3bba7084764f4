"""What holds on SQLite holds on PostgreSQL: the same tests, on a real server."""

import os
import subprocess
import sys

import pytest

from tests.servers import BASE_DIR

SUITES = (
    "tests/test_database.py",
    "tests/eventlog/test_database.py",
    "tests/generations",
    "tests/models",
    "tests/test_admin_retention.py",
    "tests/test_export_user.py",
    "tests/test_prune.py",
    "tests/views/test_attachments.py",
    "tests/views/test_growth.py",
    "tests/views/test_kept.py",
    "tests/views/test_parameters.py",
    "tests/views/test_personas.py",
    "tests/views/test_tree.py",
)


@pytest.mark.parametrize("suite", SUITES)
def test_suite_passes_on_postgresql(suite, postgres_server):
    # A process of its own: Django chooses its database once.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", suite],
        cwd=BASE_DIR,
        env=os.environ
        | {
            "DATABASE_URL": postgres_server.url_of("postgres"),
            "CHAT_TESTS_TEMPLATE": postgres_server.migrated,
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout

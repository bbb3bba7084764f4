"""D09: callers that leave at any moment never make another's reply theirs."""

import json
import os
import subprocess
import sys

import pytest

from tests.faults.conftest import IS_FULL
from tests.proxy import Proxy
from tests.servers import BASE_DIR, _environment

CALLS = 10_000 if IS_FULL else 600


@pytest.mark.faults
@pytest.mark.parametrize("store", ["sqlite", "postgres", "redis"])
def test_d09_every_reply_belongs_to_its_request(tmp_path, store, request):
    env = {"CHAT_DATA_DIR": str(tmp_path)}
    if store == "sqlite":
        assert storm(env, CALLS, patience=0.05)["wrong"] == []
        return
    postgres = request.getfixturevalue("postgres_server")
    name = f"storm_{store}"
    postgres.create_database(name)
    with Proxy(postgres.port) as database:
        database.delay = 0.05 if store == "postgres" else 0.0
        address = f"postgres://postgres@127.0.0.1:{database.port}/{name}"
        env["DATABASE_URL"] = address
        if store == "postgres":
            told = storm(env, CALLS)
        else:
            redis = request.getfixturevalue("redis_server")
            with Proxy(redis.port) as proxy:
                proxy.delay = 0.05
                env["REDIS_URL"] = f"redis://127.0.0.1:{proxy.port}/0"
                told = storm(env, CALLS)
    assert told["wrong"] == []


def storm(env: dict[str, str], calls: int, *, patience: float = 0.6) -> dict:
    command = [sys.executable, "-m", "tests.faults.storm", str(calls), str(patience)]
    env = _environment(env) | {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        command, cwd=BASE_DIR, env=env, capture_output=True, text=True, timeout=550
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    # Neither all nor none: it was a storm, and something came through it.
    assert told["cancelled"] > calls / 10, told
    assert told["answered"] > calls / 10, told
    return told

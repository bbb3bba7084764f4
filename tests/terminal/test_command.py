"""``manage.py chat``: the client with a key of its own."""

import json
import os
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from chat.management.data_folder import announce_in, find_address, hold
from tests.guarantees.sites import database_path
from tests.servers import UvicornSite

COMMAND = ("manage.py", "chat")


@pytest.fixture
def chat(start):
    """A function that starts the command on a site's data."""

    def run(site, *arguments, **env):
        return start(*arguments, command=COMMAND, **site.env | env)

    return run


def keys_of(site):
    """Return whether each key of a command has been given back."""
    rows = "SELECT revoked_at FROM chat_apikey WHERE name = 'manage.py chat'"
    with closing(sqlite3.connect(database_path(site))) as database:
        return [revoked_at is not None for (revoked_at,) in database.execute(rows)]


def test_the_only_user_chats_with_a_key_that_ends_with_the_chat(site_factory, chat):
    site = site_factory()
    site.create_user("ada")
    client = chat(site, "--plain", "--model", "openai:echo")
    assert client.run("A word\nAnother\n") == 0, client.err
    assert client.out == "A word\nAnother\n"
    assert "Connected as ada." in client.err
    assert "sk-" not in client.err
    assert keys_of(site) == [True]
    site.kill()  # What it leaves behind names a process that is no more.
    client = chat(site, "--ask", "Hello")
    assert client.run() == 2
    assert "make run" in client.err
    assert keys_of(site) == [True]


def test_a_failed_answer_is_its_exit_code(site, ada, chat):
    site.upstream.script("status:401")
    client = chat(site, "--ask", "Hello", "--user", "ada")
    assert client.run() == 1
    assert all(keys_of(site))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_chat_that_is_ended_from_outside_gives_its_key_back(site, chat, number):
    site.upstream.script("infinite@50")
    client = chat(site, "--ask", "Go on", "--user", "ada")
    client.wait_for("word5 ")
    assert False in keys_of(site)
    client.process.send_signal(number)
    assert client.wait() == 128 + number
    assert all(keys_of(site))


def test_of_several_users_one_must_be_named(site, chat):
    client = chat(site, "--ask", "Hello")
    assert client.run() == 1
    assert "--user: ada, bob, root" in client.err
    client = chat(site, "--ask", "Hello", "--user", "nobody")
    assert client.run() == 1
    assert "no active user 'nobody'" in client.err
    client = chat(site, "--ask", "Whose?", "--model", "openai:echo", "--user", "bob")
    assert client.run() == 0
    assert "Connected as bob." in client.err


def test_a_site_that_was_started_otherwise_is_named_by_its_address(site, chat):
    lock = site.data_dir / "lock"
    noted = lock.read_text()
    lock.write_text(json.dumps({"pid": str(os.getpid()), "address": ""}))
    try:
        options = ("--ask", "A word", "--model", "openai:echo", "--user", "ada")
        assert chat(site, *options).run() == 2
        client = chat(site, *options, "--url", f"{site.url}/")
        assert client.run() == 0
    finally:
        lock.write_text(noted)
    client = chat(site, *options, "--url", "nonsense")
    assert client.run() == 1
    assert "no address of a site" in client.err


def test_several_processes_are_found_as_one_is(site_factory, postgres_server, chat):
    url = postgres_server.create_database(f"terminal_{time.monotonic_ns()}")
    site = site_factory(UvicornSite, env={"DATABASE_URL": url})
    site.create_user("ada")
    client = chat(site, "--ask", "A word", "--model", "openai:echo")
    assert client.run() == 0, client.err
    assert client.out == "A word\n"


# Where a site notes its address -----------------------------------------------------


def test_the_address_of_a_running_site_is_found(tmp_path):
    assert find_address(tmp_path) == ""
    with hold(tmp_path) as held:
        assert find_address(tmp_path) == ""
        held.announce("http://127.0.0.1:8000")
        assert find_address(tmp_path) == "http://127.0.0.1:8000"


def test_the_last_of_several_processes_is_found(tmp_path):
    folder = tmp_path / "data"
    for port in (8000, 8001):
        announce_in(folder, f"http://127.0.0.1:{port}")
    assert find_address(folder) == "http://127.0.0.1:8001"


def test_a_folder_that_cannot_be_written_to_is_left_alone(tmp_path):
    (tmp_path / "data").write_text("a file")
    announce_in(tmp_path / "data", "http://127.0.0.1:8000")
    assert find_address(tmp_path / "data") == ""


@pytest.mark.parametrize(
    "noted", ["", "{}", '{"pid": "x", "address": "y"}', '{"pid": "", "address": ""}']
)
def test_what_was_noted_otherwise_names_nothing(tmp_path, noted):
    (tmp_path / "lock").write_text(noted)
    assert find_address(tmp_path) == ""

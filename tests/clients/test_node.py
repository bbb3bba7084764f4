"""How the JavaScript clients are fetched and run."""

import json
import re

import pytest

from tests.clients import node as clients
from tests.clients.node import ScriptFailed


def test_every_client_has_an_exact_version():
    package = json.loads((clients.FOLDER / "package.json").read_text())
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"(npm:.+@)?\d+\.\d+\.\d+", version), name


def test_the_lock_file_names_no_host():
    text = clients.LOCK.read_text()
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for path, package in packages.items() if path)


def test_a_script_that_fails_shows_what_it_said(node):
    with pytest.raises(ScriptFailed, match="SyntaxError"):
        node.run("event_source.mjs", "no address", flags=["--experimental-eventsource"])


def test_a_script_that_does_not_end_is_ended(node):
    with pytest.raises(ScriptFailed, match="did not end"):
        node.run("event_stream_parsers.mjs", timeout=0)


def test_clients_that_are_here_are_not_fetched_again(node, monkeypatch):
    monkeypatch.setattr(clients, "NPM", "nothing")
    assert clients.install()

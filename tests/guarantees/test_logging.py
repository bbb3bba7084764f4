"""X07: what strangers send may be logged, but it cannot pass for a record or command a terminal."""

import json
import re
import socket
import time
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest

from tests.guarantees.clients import API
from tests.guarantees.sites import site_with_people
from tests.servers import DaphneSite, UvicornSite

PLAIN = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00 (DEBUG|INFO|WARNING|ERROR|CRITICAL) [a-z_.]+ .*"
)
FAKE = "2026-01-01T00:00:00.000+00:00 ERROR chat fake"
HOSTILE = [
    f"\n{FAKE}",
    f"\r\n{FAKE}",
    f"\u2028{FAKE}\x85{FAKE}",
    "\x1b]52;c;cm0gLXJm\x07\x1b[2J",
    "\x9b31m\x7f\x08",
    "a\0b",
    "x" * 900_000,
]


@pytest.fixture(
    scope="module",
    params=[(DaphneSite, "plain"), (UvicornSite, "json")],
    ids=["daphne-plain", "uvicorn-json"],
)
def served(request):
    kind, form = request.param
    with site_with_people(kind=kind, LOG_FORMAT=form, expect_errors=True) as (site, people):
        yield site, people.ada, form


def raw(site, head: bytes) -> None:
    """Send a request as no library would."""
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=5) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(head + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        while connection.recv(65_536):
            pass


def in_names_and_addresses(site, ada, value: str) -> None:
    """Put a hostile value where servers log it: paths, agents, names, upgrade requests."""
    quoted = "".join(f"%{byte:02x}" for byte in value[:2000].encode())
    short = value[:6000].encode()
    for path in (f"/{quoted}", f"{API}/{quoted}", f"/c/{quoted}/", f"/x/?q={quoted}"):
        for agent in (b"x", short):  # With the second, a server may refuse all of it.
            head = b"\r\nUser-Agent: " + agent + b"\r\nX-Forwarded-For: " + agent
            raw(site, f"GET {path} HTTP/1.1".encode() + head)
    raw(site, b"GET /" + short.replace(b"\r", b"").replace(b"\n", b"") + b" HTTP/1.1")
    raw(site, f"GET /ws/{quoted} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade".encode())
    with httpx.Client(base_url=site.url) as client:
        client.get("/accounts/login/")
        form = {"username": value, "password": value}
        client.post("/accounts/login/", data=form)  # Without the token: Django logs the refusal.
        form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
        client.post("/accounts/login/", data=form)


def in_words_of_a_model(site, ada, value: str) -> None:
    words = {"error": {"message": value[:200_000], "code": value[:200], "type": value[:200]}}
    for script in (
        [{"status": 400, "body": words}],
        [{"delta": "a"}, {"raw": f"data: {json.dumps(words)}\n\n"}],
        [{"delta": "a"}, {"raw": f"data: {{{value[:200_000]}\n\n"}],
    ):
        site.upstream.script(script)
        ada.streamed(ada.ask(f"Fail {uuid4().hex}")["id"])


def records(site, form: str) -> list[str]:
    """Return the lines that the site has logged; the greeting of `start` is not one."""
    lines = site.log.read_bytes().removesuffix(b"\n").split(b"\n")
    if b"Ctrl-C ends it." in lines:
        lines = lines[lines.index(b"Ctrl-C ends it.") + 1 :]
    opening = b"{" if form == "json" else b""
    # Uvicorn's first words come before Django has set up the logs.
    while isinstance(site, UvicornSite) and lines and not lines[0].startswith(opening):
        lines = lines[1:]
    return [line.decode() for line in lines]


@pytest.mark.parametrize("put", [in_names_and_addresses, in_words_of_a_model])
def test_x07_each_record_is_one_harmless_line(served, put):
    site, ada, form = served
    before = len(records(site, form)) if site.output else 0
    for value in HOSTILE:
        put(site, ada, value)
    time.sleep(0.2)
    lines = records(site, form)
    assert len(lines) - before >= len(HOSTILE)
    for line in lines:
        assert line.isprintable(), line
        assert len(line.encode()) <= 4096
        if form == "json":
            assert json.loads(line).keys() == {"time", "level", "logger", "message"}
        else:
            assert PLAIN.fullmatch(line), line
    assert not [line for line in lines if line.startswith(FAKE[:25])]


def test_x07_what_is_asked_and_answered_is_not_logged(served):
    site, ada, _ = served
    secret = f"between-us-{uuid4().hex}"
    for value in HOSTILE:
        prompt = f"{secret} {value[:50_000]}"
        ada.ended(ada.ask(prompt, model="openai:echo"))
        with ada.socket() as person:
            person.events(person.ask(prompt, model="openai:echo")["generation"])
            person.send("send", text=prompt)
            assert person.wait("error")["code"] == "bad_request"
        ada.http.post("/conversations/", json={"title": prompt})
        assert ada.browser.post("/", data={"text": prompt, "model": "openai:echo"}).is_redirect
    assert secret not in site.output

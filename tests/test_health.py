"""What /livez and /readyz say about a process."""

import asyncio
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from django.core.management import call_command
from django.test import AsyncClient

from chat.views import health
from tests.servers import DaphneSite, PostgresServer, RedisServer, UvicornSite

READY = {"ready": True, "database": "ok", "draining": "no"}
LONGEST = 2.0


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite])
def site(request):
    with request.param() as started:
        yield started


def probe(site, path="/readyz", **options):
    # Not verifying, which nothing here needs, spares each client the loading of certificates.
    with httpx.Client(timeout=10, verify=False) as client:
        began = time.monotonic()
        answer = client.get(site.url + path, **options)
        return answer, time.monotonic() - began


def wait_until_ready(site, ready=True):
    deadline = time.monotonic() + 20
    while True:
        answer, seconds = probe(site)
        assert seconds < LONGEST + 0.5  # Of a busy machine.
        if answer.json()["ready"] is ready:
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_process_that_is_well(site):
    answer, _ = probe(site)
    assert (answer.status_code, answer.json()) == (200, READY)
    alive, _ = probe(site, "/livez")
    assert (alive.status_code, alive.text) == (200, "ok\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_is_kept_by_nobody_and_sets_nothing(site, path):
    answer, _ = probe(site, path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert httpx.head(site.url + path).status_code == 200
    assert httpx.post(site.url + path).status_code == 405


def test_a_probe_comes_by_any_name_and_without_tls(site_factory):
    site = site_factory(env={"HTTPS": "1", "ALLOWED_HOSTS": "chat.example.com"})
    for path in ("/livez", "/readyz"):
        answer, _ = probe(site, path, headers={"Host": "10.1.2.3:8000"})
        assert answer.status_code == 200
        assert "Strict-Transport-Security" not in answer.headers
    page, _ = probe(site, "/accounts/login/", headers={"Host": "chat.example.com"})
    assert page.status_code == 301  # The rest of the site still wants TLS,
    page, _ = probe(site, "/accounts/login/", headers={"Host": "10.1.2.3:8000"})
    assert page.status_code == 400  # and its own name.


def test_a_database_that_hangs_fails_or_is_not_migrated(site_factory):
    with PostgresServer() as postgres:
        url = postgres.create_database(empty=True)
        site = site_factory(env={"DATABASE_URL": url})
        assert wait_until_ready(site).json() == READY
        postgres.process.send_signal(signal.SIGSTOP)
        try:
            for child in children(postgres.process.pid):
                os.kill(child, signal.SIGSTOP)
            with ThreadPoolExecutor(12) as pool:  # More than there are database threads.
                answers = list(pool.map(lambda _: probe(site), range(12)))
            for answer, seconds in answers:
                assert answer.status_code == 503
                assert answer.json()["database"] == "does not answer"
                assert seconds < LONGEST + 0.5
            assert probe(site, "/livez")[0].status_code == 200
        finally:
            for child in children(postgres.process.pid):
                os.kill(child, signal.SIGCONT)
            postgres.process.send_signal(signal.SIGCONT)
        wait_until_ready(site)
        postgres.stop()
        assert wait_until_ready(site, ready=False).json()["database"] != "ok"
        postgres.start()
        wait_until_ready(site)


def test_redis_counts_where_it_is_used(site_factory):
    with RedisServer() as redis:
        site = site_factory(env={"REDIS_URL": redis.url})
        assert wait_until_ready(site).json() == READY | {"redis": "ok"}
        redis.signal(signal.SIGSTOP)
        try:
            answer = wait_until_ready(site, ready=False)
            assert answer.json() == READY | {"ready": False, "redis": "does not answer"}
        finally:
            redis.signal(signal.SIGCONT)
        wait_until_ready(site)
        redis.kill()
        answer = wait_until_ready(site, ready=False)
        assert answer.status_code == 503
        assert answer.json() == READY | {"ready": False, "redis": "fails"}


@pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
def test_a_process_that_drains_gets_no_more_requests(site_factory, kind):
    site = site_factory(kind, env={"CHAT_DRAIN_SECONDS": "20", "CHAT_DRAIN_JITTER_SECONDS": "20"})
    site.create_user()
    headers = {"Authorization": f"Bearer {site.create_api_key()}"}
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers) as client:
        conversation = client.post("/conversations/", json={}).json()["id"]
        asked = {"text": "Go on.", "model": "openai:infinite@20"}
        client.post(f"/conversations/{conversation}/messages/", json=asked).raise_for_status()
    site.signal(signal.SIGTERM)
    answer = wait_until_ready(site, ready=False)
    assert answer.status_code == 503
    assert answer.json() == READY | {"ready": False, "draining": "yes"}
    assert probe(site, "/livez")[0].status_code == 200
    time.sleep(1)
    site.signal(signal.SIGTERM)
    assert site.wait() == 0, site.output


@pytest.mark.django_db(transaction=True)
def test_migrations_that_are_missing_are_looked_for_until_they_are_there(monkeypatch):
    monkeypatch.setattr(health, "_is_migrated", False)

    def ready() -> dict:
        return asyncio.run(AsyncClient().get("/readyz")).json()  # type: ignore[arg-type]

    call_command("migrate", "sessions", "zero", verbosity=0)
    try:
        assert ready() == READY | {"ready": False, "database": "migrations are missing"}
    finally:
        call_command("migrate", "sessions", verbosity=0)
    assert ready() == READY
    assert health._is_migrated


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]

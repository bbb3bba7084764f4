import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.servers import BASE_DIR, DaphneSite, ServerFailed, UvicornSite

DEMO = {
    "CHAT_MODEL": "demo",
    "OPENAI_BASE_URL": None,
    "OPENAI_API_KEY": None,
    "DJANGO_SETTINGS_MODULE": "chatsite.settings",
}
LINK = re.compile(r"http://\S+/setup/\S+/")


@pytest.fixture
def fresh_site(site_factory):
    return site_factory(fresh=True, env=DEMO)


@pytest.fixture(scope="module")
def site():
    """A fresh site for the tests that leave it as it was."""
    with DaphneSite(fresh=True, env=DEMO) as started:
        yield started


@pytest.fixture(scope="module")
def uvicorn_site():
    with UvicornSite(fresh=True, env=DEMO) as started:
        yield started


@pytest.fixture(scope="module")
def flood():
    with DaphneSite(env=DEMO | {"DJANGO_SETTINGS_MODULE": "tests.flood"}) as started:
        yield started


def link_of(site):
    return LINK.findall(site.output)[-1]


def fill_in(client, link, username="ada"):
    client.get(link).raise_for_status()
    form = {
        "csrfmiddlewaretoken": client.cookies["csrftoken"],
        "username": username,
        "password1": "a long enough pass phrase",
        "password2": "a long enough pass phrase",
    }
    return client.post(link, data=form)


def accounts(site):
    code = "from django.contrib.auth.models import User as U;"
    code += "print(*((u.username, u.is_staff, u.is_superuser) for u in U.objects.all()))"
    return site.manage("shell", "-v0", "-c", code).strip()


def start_again(site, *args, **env):
    """Run a second `manage.py start` to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", "start", *args],
        cwd=BASE_DIR,
        env=site.env | env,
        capture_output=True,
        text=True,
        timeout=60,
    )


class TestFirstAccount:
    def test_the_link_makes_one_account_signs_in_and_is_dead_afterwards(self, fresh_site):
        link = link_of(fresh_site)
        with httpx.Client() as client:
            made = fill_in(client, link)
            assert made.status_code == 302
            assert made.headers["location"] == "/"
            assert "sessionid" in client.cookies
            assert client.get(link).status_code == 404
            assert client.post(link, data={"username": "eve"}).status_code == 403  # No CSRF token.
        assert accounts(fresh_site) == "('ada', True, True)"
        assert not (fresh_site.data_dir / "setup_link").exists()

    def test_the_form_is_not_kept_by_caches_and_says_what_is_wrong(self, site):
        with httpx.Client() as client:
            page = client.get(link_of(site))
            assert "no-store" in page.headers["cache-control"]
            assert 'name="password2"' in page.text
            assert 'autocapitalize="none" autocomplete="username"' in page.text
            form = {
                "csrfmiddlewaretoken": client.cookies["csrftoken"],
                "username": "ada",
                "password1": "12345",
                "password2": "12345",
            }
            refused = client.post(link_of(site), data=form)
        assert refused.status_code == 200
        assert "too short" in refused.text
        assert accounts(site) == ""

    def test_a_wrong_token_opens_nothing(self, site):
        for token in ("x", "%00", "a" * 43, "ä"):
            assert httpx.get(f"{site.url}/setup/{token}/").status_code == 404

    def test_of_two_simultaneous_uses_one_makes_an_account(self, fresh_site):
        link = link_of(fresh_site)
        with httpx.Client() as one, httpx.Client() as two, ThreadPoolExecutor(2) as pool:
            answers = pool.map(fill_in, (one, two), (link, link), ("ada", "eve"))
            assert sorted(answer.status_code for answer in answers) == [302, 404]
        assert accounts(fresh_site) in ("('ada', True, True)", "('eve', True, True)")

    def test_the_token_itself_is_not_kept(self, site):
        kept = site.data_dir / "setup_link"
        token = link_of(site).rstrip("/").rpartition("/")[2]
        assert token not in kept.read_text()
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600

    def test_an_account_made_elsewhere_ends_the_link_and_the_next_start_prints_none(
        self, fresh_site
    ):
        fresh_site.create_user("ada")
        assert httpx.get(link_of(fresh_site)).status_code == 404
        printed = len(fresh_site.output)
        fresh_site.restart()
        assert not LINK.search(fresh_site.output, printed)


class TestProcess:
    def test_a_second_start_on_the_same_folder_names_the_first(self, site):
        second = start_again(site, "--port", "0")
        assert second.returncode == 1
        assert f"already runs at {site.url}" in second.stderr
        assert str(site.process.pid) in second.stderr
        assert "Traceback" not in second.stderr

    def test_a_taken_port_is_said_before_anything_is_done(self, site, tmp_path):
        port = str(site.port)
        second = start_again(site, "--port", port, CHAT_DATA_DIR=str(tmp_path))
        assert second.returncode == 1
        assert f"Port {port} is taken" in second.stderr
        assert "Traceback" not in second.stderr
        assert not (tmp_path / "db.sqlite3").exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_cleanly(self, fresh_site, number):
        fresh_site.signal(number)
        assert fresh_site.wait() == 0, fresh_site.output
        assert "Traceback" not in fresh_site.output
        assert "Error" not in fresh_site.output

    def test_a_running_answer_is_interrupted_and_kept(self, site_factory):
        site = site_factory()
        site.create_user("ada")
        site.upstream.script("infinite@20")
        headers = {"Authorization": f"Bearer {site.create_api_key('ada')}"}
        with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=20) as client:
            conversation = client.post("/conversations/", json={}).json()["id"]
            path = f"/conversations/{conversation}/messages/"
            generation = client.post(path, json={"text": "Go on."}).json()["generation"]["id"]
            with client.stream("GET", f"/generations/{generation}/events/") as events:
                lines = events.iter_lines()
                while next(lines) != "event: delta":
                    pass
                site.signal(signal.SIGTERM)
                assert ": reconnect" in list(lines)
            assert site.wait() == 0, site.output
            site.start()
            assert client.get(f"/generations/{generation}/").json()["status"] == "interrupted"
            assert "word0" in client.get(path).text

    def test_a_crash_leaves_nothing_in_the_way_of_the_next_start(self, fresh_site):
        key = (fresh_site.data_dir / "secret_key").read_text()
        fresh_site.kill()
        fresh_site.start()
        assert httpx.get(f"{fresh_site.url}/accounts/login/").status_code == 200
        assert (fresh_site.data_dir / "secret_key").read_text() == key
        assert stat.S_IMODE((fresh_site.data_dir / "secret_key").stat().st_mode) == 0o600

    def test_the_demo_model_says_how_to_connect_a_real_one(self, site):
        assert re.search(r"Model +demo\n", site.output)
        assert "OPENAI_API_KEY" in site.output

    def test_a_mistake_in_the_settings_is_said_and_ends_the_start(self, site, tmp_path):
        variables = {"CHAT_DATA_DIR": str(tmp_path), "CHAT_EVENT_LOG": "disk"}
        broken = start_again(site, "--port", "0", **variables)
        assert broken.returncode == 1
        assert "chat.E003" in broken.stderr

    def test_a_host_that_is_not_allowed_is_named(self, site_factory):
        site = site_factory(fresh=True, env=DEMO | {"ALLOWED_HOSTS": "chat.example.com"})
        assert "Set ALLOWED_HOSTS=127.0.0.1" in site.output


class TestServer:
    """What Daphne by itself does not do."""

    def test_no_server_name_is_told(self, site):
        assert "server" not in httpx.get(f"{site.url}/accounts/login/").headers

    def test_a_long_body_is_refused_and_not_kept(self, site):
        for size in (1_100_000, 10_000_000):
            answer = httpx.post(f"{site.url}/accounts/login/", content=b"x" * size)
            assert answer.status_code == 413

    def test_a_body_without_an_end_is_cut_off(self, site):
        with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
            head = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            with pytest.raises(ConnectionError):
                connection.sendall(part * 2000)


class TestUvicorn:
    """The other server: the same site, started and ended by the same command."""

    def test_the_welcome_is_the_same(self, uvicorn_site, site_factory):
        stock = site_factory(fresh=True, env=DEMO)
        shown = [
            re.sub(r":\d+|setup/\S+", "", each.output.partition("Ctrl-C")[0])
            for each in (uvicorn_site, stock)
        ]
        assert shown[0] == shown[1]
        assert httpx.get(link_of(uvicorn_site)).status_code == 200

    def test_no_server_name_is_told(self, uvicorn_site):
        assert "server" not in httpx.get(f"{uvicorn_site.url}/accounts/login/").headers

    def test_a_second_start_on_the_same_folder_names_the_first(self, uvicorn_site):
        second = start_again(uvicorn_site, "--port", "0", "--server", "uvicorn")
        assert second.returncode == 1
        assert f"already runs at {uvicorn_site.url}" in second.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_it_ends_cleanly(self, site_factory, number):
        site = site_factory(UvicornSite, env=DEMO)
        site.signal(number)
        assert site.wait() == 0, site.output
        assert "Traceback" not in site.output
        assert "Error" not in site.output

    def test_a_long_body_is_refused_and_not_kept(self, uvicorn_site):
        before = settled_memory(uvicorn_site)
        for size in (1_100_000, 10_000_000, 300_000_000):
            # A sender that is cut off may not see the answer; a short one does.
            try:
                answer = httpx.post(f"{uvicorn_site.url}/accounts/login/", content=b"x" * size)
            except httpx.TransportError:
                assert size > 10_000_000
            else:
                assert answer.status_code == 413
                assert answer.json()["error"]["code"] == "prompt_too_long"
        assert peak_memory(uvicorn_site) - before < 10_000_000

    def test_a_body_without_a_length_is_refused_and_not_kept(self, uvicorn_site):
        before = settled_memory(uvicorn_site)
        with socket.create_connection(("127.0.0.1", uvicorn_site.port), timeout=20) as connection:
            head = b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            connection.sendall(part * 32)
            assert connection.recv(20).startswith(b"HTTP/1.1 413 ")
            with pytest.raises(ConnectionError):
                connection.sendall(part * 2000)
        assert peak_memory(uvicorn_site) - before < 10_000_000

    def test_a_body_at_the_limit_is_read(self, uvicorn_site):
        answer = httpx.post(f"{uvicorn_site.url}/accounts/login/", content=b"x" * 1_048_576)
        assert answer.status_code == 403  # No CSRF token: Django has looked at it.


class TestWorkers:
    """Several processes behind one command."""

    def test_they_need_a_database_that_several_processes_can_use(self, site):
        refused = start_again(site, "--server", "uvicorn", "--workers", "2")
        assert refused.returncode == 1
        assert "Several processes need PostgreSQL: set DATABASE_URL." in refused.stderr
        assert "Traceback" not in refused.stderr

    def test_they_need_an_event_log_that_several_processes_can_use(self, site, postgres_server):
        variables = {"DATABASE_URL": postgres_server.url_of("none"), "CHAT_EVENT_LOG": "memory"}
        refused = start_again(site, "--server", "uvicorn", "--workers", "2", **variables)
        assert refused.returncode == 1
        assert "CHAT_EVENT_LOG" in refused.stderr
        assert "Traceback" not in refused.stderr

    def test_daphne_has_none(self, site):
        refused = start_again(site, "--workers", "2")
        assert refused.returncode == 1
        assert "--server uvicorn" in refused.stderr

    def test_none_at_all_is_refused(self, site):
        refused = start_again(site, "--server", "uvicorn", "--workers", "0")
        assert refused.returncode == 1
        assert "--workers must be at least 1" in refused.stderr

    def test_a_server_that_is_not_installed_is_named(self, site):
        code = "import runpy, sys; sys.modules['uvicorn'] = None;"
        code += "sys.argv = ['manage.py', 'start', '--server', 'uvicorn'];"
        code += "runpy.run_path('manage.py', run_name='__main__')"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=BASE_DIR,
            env=site.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "uvicorn is not installed" in done.stderr

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_two_serve_and_end_together(self, site_factory, postgres_server, number):
        site = two_workers(site_factory, postgres_server)
        pids = workers_of(site)
        assert len(pids) == 2
        assert site.output.count("Chat      http") == 1
        assert httpx.get(link_of(site)).status_code == 200
        os.killpg(site.process.pid, number)  # As Ctrl-C in a terminal: to all of them.
        assert site.wait() == 0, site.output
        assert "Traceback" not in site.output
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)

    def test_one_that_dies_is_replaced(self, site_factory, postgres_server):
        site = two_workers(site_factory, postgres_server)
        first, second = workers_of(site)
        os.kill(first, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(found := set(workers_of(site)) - {first}) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert second in found

    def test_one_that_cannot_start_ends_the_start(self, site_factory, postgres_server):
        with pytest.raises(ServerFailed, match="A worker did not start"):
            two_workers(site_factory, postgres_server, ASGI="tests.workers.broken")


def two_workers(site_factory, postgres_server, **variables):
    env = DEMO | {
        "DATABASE_URL": postgres_server.create_database(f"workers_{time.monotonic_ns()}"),
        "DJANGO_SETTINGS_MODULE": "tests.workers",
        **variables,
    }
    return site_factory(UvicornSite, workers=2, env=env)


def workers_of(site):
    children = Path(f"/proc/{site.process.pid}/task/{site.process.pid}/children").read_text()
    names = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children.split()}
    return sorted(pid for pid, name in names.items() if "spawn_main" in name)


def settled_memory(site):
    """Return the same once it no longer grows: what answers need is imported after the start."""
    before, now = 0, peak_memory(site)
    while now > before:
        time.sleep(2)
        before, now = now, peak_memory(site)
    return now


def peak_memory(site):
    """Return the most that the process has ever held, in bytes."""
    status = Path(f"/proc/{site.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


class TestFlood:
    """What a reader that does not read, and a defect, cost the process."""

    def sent(self, flood):
        return int(httpx.get(f"{flood.url}/sent").text)

    @pytest.mark.parametrize(
        "request_line",
        [
            b"GET /flood HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ],
        ids=["http", "websocket"],
    )
    def test_a_sender_waits_for_a_reader_that_does_not_read(self, flood, request_line):
        before = self.sent(flood)
        with socket.create_connection(("127.0.0.1", flood.port), timeout=10) as connection:
            connection.sendall(request_line)
            assert connection.recv(20).startswith(b"HTTP/1.1 ")
            time.sleep(1)
            stalled = self.sent(flood) - before
            assert 0 < stalled < 12_000_000  # Of 131 million: what the system's buffers hold.
            time.sleep(0.5)
            assert self.sent(flood) - before == stalled
            # Reading lets it go on.
            for _ in range(2000):
                connection.recv(65536)
            assert self.sent(flood) - before > stalled
        deadline = time.monotonic() + 10
        while self.sent(flood) - before < 2000 * 65536:  # Gone: sending costs nothing any more.
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_a_defect_in_mid_answer_ends_that_connection_every_time(self, flood):
        for _ in range(3):
            with pytest.raises(httpx.HTTPError):
                httpx.get(f"{flood.url}/defect", timeout=5)
        said = "ValueError: a defect in mid-answer"
        deadline = time.monotonic() + 10  # The server looks for them once in a while.
        while flood.output.count(said) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert flood.output.count(said) == 3
        assert "CRITICAL" not in flood.output


def test_a_site_that_cannot_start_shows_why():
    site = DaphneSite(env=DEMO)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.port = taken.getsockname()[1]
        with pytest.raises(ServerFailed, match=f"Port {site.port} is taken"):
            site.__enter__()
    assert not site.folder.exists()

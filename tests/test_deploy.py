"""What is shipped in deploy/ names what exists, and its nginx does what the chat needs of it."""

import os
import re
import socket
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import httpx
import pytest
import yaml
from PIL import Image

from chat.conf import KEYS
from tests.guarantees.clients import Person, check_log
from tests.guarantees.sites import People, two_processes
from tests.nginx import Nginx
from tests.servers import BASE_DIR
from tests.test_docs import README, rows

DEPLOY = BASE_DIR / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = (DEPLOY / "compose.yaml").read_text()
EXAMPLE = (DEPLOY / ".env.example").read_text()
COMMANDS = {path.stem for path in BASE_DIR.glob("chat/management/commands/*.py")} | {"migrate"}


# Dockerfile, compose file, variables -------------------------------------------------


def test_the_image_is_made_of_what_is_in_the_repository():
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE))
    copied = []
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE):
        if line.startswith("--from="):
            assert re.match(r"--from=(\w+)", line)[1] in stages
        else:
            copied += line.split()[:-1]
    allowed = re.findall(r"^!(\S+)", (BASE_DIR / ".dockerignore").read_text(), re.MULTILINE)
    for name in copied:
        assert (BASE_DIR / name).exists(), name
        assert any(name == each or name.startswith(f"{each}/") for each in allowed), name
    assert set(allowed) >= {"chat", "chatsite", "templates", "manage.py"}


def test_the_image_runs_commands_that_exist_as_nobody():
    found = re.findall(r'"manage.py", "(\w+)"', DOCKERFILE + COMPOSE)
    assert {"start", "migrate"} <= set(found) <= COMMANDS
    assert re.search(r"^USER chat$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert "/readyz" in DOCKERFILE


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE)["services"]


def test_the_compose_file_starts_two_processes_after_migrating_once(services):
    assert {"migrate", "web1", "web2", "postgres", "redis", "nginx"} == set(services)
    dockerfile = BASE_DIR / services["web1"]["build"]["dockerfile"]
    assert dockerfile == DEPLOY / "Dockerfile"
    for name in ("web1", "web2"):
        waits = services[name]["depends_on"]
        assert waits["migrate"]["condition"] == "service_completed_successfully"
        assert services[name]["read_only"] is True
    assert services["migrate"]["restart"] == "no"
    for name in ("postgres", "redis"):
        assert services[name]["healthcheck"]["test"]
    for service in services.values():
        for waited, how in service.get("depends_on", {}).items():
            assert waited in services
            assert how["condition"].startswith("service_")


def test_a_container_gets_more_time_to_end_than_its_answers(services):
    grace = services["web1"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) >= KEYS["DRAIN_SECONDS"].default + 10


def test_mounted_files_exist_and_servers_have_the_names_of_the_services(services):
    mounted = services["nginx"]["volumes"][0].split(":")[0]
    assert (DEPLOY / mounted).is_file()
    upstream = re.findall(r"^ +server (\w+):(\d+)", (DEPLOY / "nginx.conf").read_text(), re.M)
    assert {name for name, _ in upstream} == {"web1", "web2"}
    assert all(f'"--port", "{port}"' in DOCKERFILE for _, port in upstream)


def test_every_variable_stands_in_the_example():
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))
    set_elsewhere = {"DATABASE_URL", "REDIS_URL", "CHAT_DATA_DIR"}
    documented = {
        n for row in rows(README, "Configuration") for n in re.findall(r"[A-Z_]{4,}", row)
    }
    used = set(re.findall(r"\$\{(\w+)", COMPOSE))
    assert named == (documented | used) - set_elsewhere - {"PORT", "HOST"}
    assert all(name in EXAMPLE for name in set_elsewhere)


def test_a_secret_is_nowhere_preset():
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "OPENAI_API_KEY"):
        assert re.search(rf"^#?{name}=$", EXAMPLE, re.MULTILINE)


# nginx ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two_sites(postgres_server):
    """Two processes on one database, the servers one of each kind."""
    with two_processes(postgres_server, "behind_nginx") as sites:
        yield sites


@pytest.fixture(scope="module")
def nginx(two_sites):
    with Nginx(*two_sites, changes={"rate=10r/s": "rate=1000r/s"}) as served:
        yield served


@pytest.fixture(scope="module")
def ada(two_sites, nginx):
    people = People(two_sites[0])
    behind = Person(nginx, name="ada", key=people.ada.key, session=people.ada.session)
    behind.direct = people.ada
    yield behind
    behind.http.close()
    people.close()


def test_the_configuration_says_nothing_that_nginx_does_not_like(two_sites):
    with Nginx(*two_sites) as served:
        assert "[warn]" not in served.output
        assert "[emerg]" not in served.output


def first_token(person: Person) -> float:
    """Return the seconds between a prompt and the first text of its answer."""
    path = f"/conversations/{person.conversation()}/messages/"
    asked = {"text": "Go on.", "model": "openai:slow"}
    began = time.monotonic()
    headers = {"Accept-Encoding": "gzip, br"}
    with person.stream(path, method="POST", headers=headers, **asked) as stream:
        for event in stream:
            if event.kind == "delta":
                seconds = time.monotonic() - began
                break
        assert stream.response.headers.get("Content-Encoding") != "gzip"
        assert stream.response.headers["Content-Type"] == "text/event-stream"
    return seconds


def test_a_token_is_passed_on_when_it_comes(ada):
    direct = statistics.median(first_token(ada.direct) for _ in range(5))
    behind = statistics.median(first_token(ada) for _ in range(5))
    assert behind - direct < 0.2


def test_tokens_come_one_by_one(ada):
    path = f"/conversations/{ada.conversation()}/messages/"
    moments = []
    asked = {"text": "Go on.", "model": "openai:words:8@4"}
    with ada.stream(path, method="POST", **asked) as stream:
        events = []
        for event in stream:
            events.append(event)
            if event.kind == "delta":
                moments.append(time.monotonic())
    check_log(events)
    assert moments[-1] - moments[0] > 1  # Written in 1.75 seconds; buffered, they come as one.


def test_a_socket_streams_through_it(ada):
    with ada.socket(by_session=True) as socket_:
        generation = socket_.ask("Hello.", model="openai:words:50@100")["generation"]
        check_log(socket_.events(generation))
        assert socket_.ping() < 2


def test_pages_are_not_compressed_twice_nor_their_forms_refused(nginx, ada):
    with httpx.Client(base_url=nginx.url) as client:
        page = client.get("/accounts/login/", headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in page.headers
        form = {
            "username": "ada",
            "password": "correct horse",
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }
        client.post("/accounts/login/", data=form, headers={"Origin": nginx.url})
        assert "sessionid" in client.cookies
        # By either process: the session is of both.
        assert {client.get("/").status_code for _ in range(4)} == {200}


def test_a_client_cannot_say_where_the_site_is_mounted(nginx, two_sites):
    headers = {"Daphne-Root-Path": "/elsewhere"}
    for url in [*[site.url for site in two_sites], *[nginx.url] * 4]:
        answer = httpx.get(f"{url}/", headers=headers)
        assert answer.headers["location"].startswith("/accounts/login/")


def test_probes_and_long_bodies_stay_outside(nginx):
    for path in ("/livez", "/readyz"):
        assert httpx.get(nginx.url + path).status_code == 404
    long = httpx.post(f"{nginx.url}/accounts/login/", content=b"x" * 1_100_000)
    assert long.status_code == 413


def test_files_may_be_larger(ada):
    size = (900, 900)
    image = BytesIO()
    Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1])).save(image, "PNG")
    assert len(image.getvalue()) > 2_000_000
    sent = ada.http.post("/attachments/", files={"file": ("noise.png", image.getvalue())})
    assert sent.status_code == 201


def test_one_process_of_two_is_enough(nginx, two_sites):
    one, _ = two_sites
    one.stop()
    try:
        with httpx.Client(base_url=nginx.url) as client:
            answers = [client.get("/accounts/login/").status_code for _ in range(10)]
        assert answers == [200] * 10
    finally:
        one.start()


def test_what_is_sent_too_fast_is_refused(two_sites):
    with Nginx(*two_sites) as strict, ThreadPoolExecutor(20) as crowd:
        urls = [f"{strict.url}/accounts/login/"] * 160
        codes = [answer.status_code for answer in crowd.map(httpx.get, urls)]
    assert set(codes) == {200, 429}
    assert codes.count(200) >= 40


def test_a_request_that_comes_slowly_holds_no_process(two_sites):
    changes = {"client_header_timeout 10s;": "client_header_timeout 1s;"}
    with (
        Nginx(*two_sites, changes=changes) as strict,
        socket.create_connection(("127.0.0.1", strict.port), timeout=10) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow")
        began = time.monotonic()
        while connection.recv(1000):
            continue
        assert time.monotonic() - began < 5

"""Two processes of one site: what is done at one is felt at the other."""

import json
import re
import time
from contextlib import ExitStack

import httpx
import pytest

from tests.guarantees.clients import open_socket
from tests.servers import UvicornSite

SECRET_KEY = "one secret key for all processes of a site, as there must be!"
MOMENT = 2.0  # G9: pushed within two seconds.


@pytest.fixture(scope="module", params=["postgres", "redis"])
def sites(request, postgres_server):
    """Two processes with one database, on PostgreSQL alone and with Redis."""
    env = {
        "DATABASE_URL": postgres_server.create_database(f"bus_{request.param}"),
        "SECRET_KEY": SECRET_KEY,
    }
    if request.param == "redis":
        env["REDIS_URL"] = request.getfixturevalue("redis_server").url
    with ExitStack() as stack:
        one = stack.enter_context(UvicornSite(env=env))
        other = stack.enter_context(UvicornSite(upstream=one.upstream, env=env))
        one.create_user()
        yield one, other


@pytest.fixture(scope="module")
def key(sites):
    return sites[0].create_api_key()


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def seconds_until_closed(socket):
    started = time.monotonic()
    assert socket.close_code(patience=10) == 4403
    return time.monotonic() - started


def test_news_of_a_conversation_reach_sockets_at_every_process(sites, key):
    one, other = sites
    with (
        open_socket(one, headers=bearer(key)) as here,
        open_socket(other, headers=bearer(key)) as there,
        httpx.Client(base_url=f"{one.url}/api/v1", headers=bearer(key)) as client,
    ):
        here.wait("hello")
        there.wait("hello")
        made = client.post("/conversations/", json={"title": "Looms"}).raise_for_status().json()
        for socket in (here, there):
            frame = socket.wait("conversation", patience=MOMENT)
            assert (frame["id"], frame["change"]) == (made["id"], "created")
            socket.send("ping")  # And it was told once.
            assert json.loads(socket.connection.recv(timeout=5))["type"] == "pong"


def test_news_of_an_answer_reach_sockets_at_every_process(sites, key):
    one, other = sites
    with (
        open_socket(one, headers=bearer(key)) as here,
        open_socket(other, headers=bearer(key)) as there,
    ):
        there.wait("hello")
        accepted = here.ask("Why?")
        frame = there.wait("conversation", id=accepted["conversation"], change="created")
        assert frame["running"] == accepted["generation"]
        there.wait("conversation", id=accepted["conversation"], running=None)


def test_s06_signing_out_at_one_process_closes_the_sockets_at_another(sites, key):
    one, other = sites
    cookies = one.login()
    headers = {"Cookie": f"sessionid={cookies['sessionid']}"}
    with (
        open_socket(other, headers=headers, origin=other.url) as leaving,
        open_socket(other, headers=bearer(key)) as staying,
    ):
        leaving.wait("hello")
        csrf = {"X-CSRFToken": cookies["csrftoken"], "Origin": one.url}
        with httpx.Client(base_url=one.url, cookies=cookies, headers=csrf) as client:
            assert client.post("/accounts/logout/").status_code in {200, 302}
        assert seconds_until_closed(leaving) < MOMENT
        assert staying.ping() < 5


def test_s06_a_key_revoked_at_one_process_loses_its_sockets_at_another(sites):
    one, other = sites
    one.create_user("bob")
    cookies = one.login("bob")
    csrf = {"X-CSRFToken": cookies["csrftoken"], "Origin": one.url}
    key, kept = (one.create_api_key("bob") for _ in range(2))
    with (
        open_socket(other, headers=bearer(key)) as leaving,
        open_socket(other, headers=bearer(kept)) as staying,
        httpx.Client(base_url=one.url, cookies=cookies, headers=csrf) as client,
    ):
        leaving.wait("hello")
        rows = client.get("/account/").text.split("<tr>")
        prefix = key.split("-")[1]
        [row] = [row for row in rows if f"sk-{prefix}-…" in row]
        path = re.search('action="(.+?/revoke/)"', row)[1]
        assert client.post(path).status_code == 302
        assert seconds_until_closed(leaving) < MOMENT
        assert staying.ping() < 5


def test_s06_what_a_command_changes_is_felt_by_every_process(sites):
    one, other = sites
    one.create_user("eve")
    key = one.create_api_key("eve")
    deactivate = (
        "from django.contrib.auth import get_user_model as model;"
        "user = model().objects.get(username='eve'); user.is_active = False; user.save()"
    )
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(open_socket(site, headers=bearer(key))) for site in (one, other)
        ]
        for socket in sockets:
            socket.wait("hello")
        one.manage("shell", "-v0", "-c", deactivate)
        for socket in sockets:
            assert seconds_until_closed(socket) < MOMENT

"""S13, S16: what every answer carries, whatever its address, its status and who asks."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.guarantees.addresses import fill, routes
from tests.guarantees.clients import API
from tests.guarantees.sites import SECRET_KEY, database_path, site_with_people
from tests.guarantees.test_addresses import Things
from tests.servers import BASE_DIR

ROUTES = sorted(set(routes()))
STATIC = ["/static/chat/main.js", "/static/chat/favicon.svg", "/static/no-such-file", "/nowhere"]
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
}
# What `{% chat_embed %}` frames is for the site's own pages, and no others.
FRAMED = ({"x-frame-options": "SAMEORIGIN"}, {"frame-ancestors": "'self'"})
HTTPS = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module", params=["http", "https"])
def served(request):
    """A site behind a proxy that ends TLS, as far as the site can see; and one without."""
    env = {}
    if request.param == "https":
        env = {"HTTPS": "1", "CSRF_TRUSTED_ORIGINS": "https://127.0.0.1"}
    with site_with_people(expect_errors=True, **env) as (site, people):
        yield site, people.root, request.param == "https"


@pytest.fixture(scope="module")
def clients(served) -> Iterator[list[httpx.Client]]:
    """A stranger, the administrator's browser, and a program with a key."""
    site, root, is_https = served
    headers = HTTPS if is_https else {}
    prefix = "__Host-" if is_https else ""
    name = f"{prefix}session" if is_https else "sessionid"
    browser = {"Cookie": f"{name}={root.session}"}
    found = [
        httpx.Client(base_url=site.url, headers=headers | more)
        for more in ({}, browser, {"Authorization": f"Bearer {root.key}"})
    ]
    yield found
    for client in found:
        client.close()


@pytest.fixture(scope="module")
def ids(served, clients) -> dict[str, str]:
    _, root, is_https = served
    if not is_https:
        return Things(root).ids
    path = f"{API}/conversations/"
    conversation = clients[2].post(path, json={}).json()["id"]
    body = {"text": "Hi.", "model": "openai:words:3"}
    messages = f"{path}{conversation}/messages/"
    streamed = clients[2].post(messages, json=body, headers={"Accept": "text/event-stream"})
    assert "event: done" in streamed.text
    answer = clients[2].get(messages).json()["items"][1]
    return {
        "conversation_id": conversation,
        "message_id": answer["id"],
        "generation_id": answer["generation"],
    }


def check(answer: httpx.Response, *, is_https: bool) -> None:
    where = (answer.request.method, str(answer.request.url), answer.status_code)
    framed = FRAMED if is_framed(answer) else ({}, {})
    for name, value in (ALWAYS | framed[0]).items():
        assert answer.headers.get(name) == value, (where, name)
    policy = answer.headers.get("content-security-policy", "")
    found = {
        name: value for name, _, value in (p.strip().partition(" ") for p in policy.split(";"))
    }
    assert {name: found.get(name) for name in POLICY} == POLICY | framed[1], where
    assert "unsafe" not in policy
    hsts = answer.headers.get("strict-transport-security", "")
    assert bool(re.fullmatch(r"max-age=31536000; includeSubDomains(; preload)?", hsts)) == is_https
    assert "server" not in answer.headers
    for cookie in answer.headers.get_list("set-cookie"):
        check_cookie(cookie, is_https=is_https)


def is_framed(answer: httpx.Response) -> bool:
    """Whether the embedded chat answered: what refuses a request before it may not be framed."""
    request = answer.request
    by_view = request.method != "POST" and answer.status_code in (200, 403, 405)
    return request.url.path.startswith("/embed/") and by_view


def check_cookie(cookie: str, *, is_https: bool) -> None:
    name, *flags = (part.strip() for part in cookie.split(";"))
    assert "SameSite=Lax" in flags, cookie
    assert "Path=/" in flags
    assert not [flag for flag in flags if flag.startswith("Domain")]
    assert ("Secure" in flags) == is_https, cookie
    assert name.startswith("__Host-") == is_https or name.startswith("messages=")
    # The page's script has to read the other one.
    assert "HttpOnly" in flags or "csrf" in name, cookie


def test_s16_every_answer_carries_the_headers(served, clients, ids):
    is_https = served[2]
    statuses: dict[int, int] = {}
    kinds = set()
    text = f"/m/{ids['message_id']}/?as=text"
    for address in [*(fill(route, ids) for route in ROUTES), *STATIC, text]:
        for client in clients:
            for method in ("GET", "POST", "TRACE"):
                answer = client.request(method, address)
                check(answer, is_https=is_https)
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
                kinds.add(answer.headers.get("content-type", "").split(";")[0])
    assert {200, 302, 400, 401, 403, 404, 405} <= statuses.keys(), statuses
    assert {"text/html", "application/json", "text/event-stream", "text/plain"} <= kinds
    assert sum(statuses.values()) > 300


def test_s16_signing_in_sets_cookies_with_all_flags(served):
    site, _, is_https = served
    headers = HTTPS | {"Origin": "https://127.0.0.1"} if is_https else {}
    with httpx.Client(base_url=site.url, headers=headers) as client:
        page = client.get("/accounts/login/")
        check(page, is_https=is_https)
        cookie = page.headers["set-cookie"].split(";")[0]
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        form = {"username": "ada", "password": "correct horse", "csrfmiddlewaretoken": token}
        # httpx would not send a secure cookie over what it sees as plain HTTP.
        answer = client.post("/accounts/login/", data=form, headers={"Cookie": cookie})
    assert answer.status_code == 302
    names = [cookie.split("=")[0] for cookie in answer.headers.get_list("set-cookie")]
    assert ("__Host-session" if is_https else "sessionid") in names
    check(answer, is_https=is_https)


def test_s16_a_defect_is_answered_with_the_headers_and_nothing_else(served, clients, ids):
    site, _, is_https = served
    with closing(sqlite3.connect(database_path(site), timeout=10)) as database:
        database.execute("ALTER TABLE chat_message RENAME TO gone")
        try:
            for address in (f"/c/{ids['conversation_id']}/", "/admin/chat/message/"):
                answer = clients[1].get(address)
                assert answer.status_code == 500
                check(answer, is_https=is_https)
                assert "chat_message" not in answer.text
        finally:
            database.execute("ALTER TABLE gone RENAME TO chat_message")


def test_s16_plain_http_is_sent_to_https(served):
    site, _, is_https = served
    answer = httpx.get(f"{site.url}/account/?x=1")
    if is_https:
        assert (answer.status_code, answer.headers["location"]) == (
            301, f"https://127.0.0.1:{site.port}/account/?x=1"
        )  # fmt: skip
        for name in ALWAYS:
            assert name in answer.headers
    else:
        assert answer.status_code == 302


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test", "127.0.0.1:x", "a_b@c"])
def test_s13_a_host_that_is_not_ours_gets_400_at_every_address(served, clients, ids, host):
    is_https = served[2]
    for route in ROUTES[:: 1 if host == "evil.test" else 9]:
        for client in clients:
            answer = client.get(fill(route, ids), headers={"Host": host})
            assert answer.status_code == 400, (route, answer.text[:500])
            assert "evil.test" not in answer.text + str(answer.headers)
            check(answer, is_https=is_https)


def test_s16_the_deployment_check_has_no_warning():
    env = os.environ | {
        "HTTPS": "1",
        "DEBUG": "0",
        "ALLOWED_HOSTS": "chat.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://chat.example.com",
        "SECRET_KEY": SECRET_KEY,
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(
        command, cwd=BASE_DIR, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues (0 silenced)" in done.stdout

"""Who may do what: pages of other origins, forged requests, keys that are over."""

import re
import socket

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.guarantees.clients import API, open_socket
from tests.guarantees.sites import database_path
from tests.guarantees.tables import tables

ORIGINS = {
    "missing": None,
    "other-port": "http://127.0.0.1:{other}",
    "no-port": "http://127.0.0.1",
    "other-scheme": "https://127.0.0.1:{port}",
    "ws-scheme": "ws://127.0.0.1:{port}",
    "other-name-of-this-host": "http://localhost:{port}",
    "subdomain": "http://evil.127.0.0.1:{port}",
    "suffix-of-host": "http://127.0.0.1.evil.test:{port}",
    "prefix": "http://evil127.0.0.1:{port}",
    "userinfo": "http://127.0.0.1:{port}@evil.test",
    "other-site": "http://evil.test:{port}",
}
# The server itself refuses these, with another status.
MALFORMED = {
    "null": "null",
    "empty": "",
    "no-scheme": "127.0.0.1:{port}",
    "file": "file://",
    "suffix": "http://127.0.0.1:{port}.evil.test",
    "two-at-once": "http://127.0.0.1:{port}, http://evil.test",
    "bad-port": "http://127.0.0.1:99999",
    "bad-brackets": "http://[::1",
    "not-ascii": "http://127.0.0.1:{port}\u0660",
}


def origin_of(site, name: str) -> str | None:
    template = (ORIGINS | MALFORMED)[name]
    return template and template.format(port=site.port, other=site.port + 1)


@pytest.mark.parametrize("name", [*ORIGINS, *MALFORMED])
def test_s01_a_page_of_another_origin_opens_no_socket(ada, site, name):
    origin = origin_of(site, name)
    # As bytes: what no browser sends may still come.
    cookie = {"Cookie": f"sessionid={ada.session}"}
    headers = cookie if origin is None else cookie | {"Origin": origin.encode().decode("latin-1")}
    with pytest.raises(InvalidStatus) as refused, open_socket(site, headers=headers):
        pass
    assert refused.value.response.status_code in ({400, 403} if name in MALFORMED else {403})


def test_s01_the_sites_own_page_opens_a_socket(ada, site):
    for origin in (site.url, site.url.upper()):
        with ada.socket(by_session=True, origin=origin) as socket:
            assert socket.wait("hello")["user"] == "ada"


def test_s01_a_host_that_is_not_ours_makes_no_origin_ours(ada, site):
    headers = {"Cookie": f"sessionid={ada.session}"}
    with (
        socket.create_connection(("127.0.0.1", site.port)) as connection,
        pytest.raises(InvalidStatus) as refused,
    ):
        connect(
            f"ws://evil.test:{site.port}/ws/chat/",
            sock=connection,
            origin=f"http://evil.test:{site.port}",
            additional_headers=headers,
            proxy=None,
        )
    assert refused.value.response.status_code == 403


def test_s01_a_program_with_a_key_needs_no_origin(ada):
    with ada.socket() as socket:
        assert socket.wait("hello")["user"] == "ada"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-00000000-wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YWRhOmFkYQ=="},
        {"Authorization": "x"},
        {"Cookie": "sessionid=wrong"},
    ],
    ids=str,
)
def test_a_stranger_is_told_4401(site, headers):
    with open_socket(site, headers=headers, origin=site.url) as socket:
        assert socket.close_code() == 4401


# Forged requests ------------------------------------------------------------------


def forgeries(ada, conversation, generation):
    """Yield (method, path, options) of what a page of another site may make a browser send."""
    session = {"Cookie": f"sessionid={ada.session}"}
    token = session | {"Cookie": session["Cookie"] + f"; csrftoken={'c' * 32}"}
    right = token | {"X-CSRFToken": "c" * 32, "Origin": ada.site.url}
    messages = f"{API}/conversations/{conversation}/messages/"
    stop = f"{API}/generations/{generation}/stop/"
    json_body = {"json": {"text": "forged"}}
    form = {"data": {"text": "forged", "csrfmiddlewaretoken": "c" * 32}}
    plain = {"content": '{"text":"forged"}'}
    for headers, body in [
        (session, json_body),  # A stolen cookie alone.
        (token, json_body),  # The token only where the browser puts it by itself.
        (token | {"X-CSRFToken": "d" * 32, "Origin": ada.site.url}, json_body),
        (right | {"Origin": "http://evil.test"}, json_body),
        (right | {"Origin": "null"}, json_body),
        (right | {"Sec-Fetch-Site": "cross-site"}, json_body),
        (token, form),
        (right, form),
        (right | {"Content-Type": "text/plain"}, plain),
        (session | {"Content-Type": "text/plain"}, plain),
    ]:
        yield "POST", messages, {"headers": headers} | body
        yield "POST", messages, {"headers": headers | {"Accept": "text/event-stream"}} | body
        if headers != right and "text/plain" not in headers.values():
            yield "POST", stop, {"headers": headers}
            yield "DELETE", f"{API}/conversations/{conversation}/", {"headers": headers}
            yield "PATCH", f"{API}/conversations/{conversation}/", {"headers": headers} | body
            yield "POST", f"{API}/conversations/", {"headers": headers, "json": {}}


def test_s02_forged_requests_change_nothing(ada, site):
    conversation = ada.conversation()
    generation = ada.ask("Go on.", conversation=conversation, model="openai:infinite@20")["id"]
    before = tables(site, without={"chat_message.text", "chat_message.reasoning"})
    count = 0
    with httpx.Client(base_url=site.url) as client:
        for method, path, options in forgeries(ada, conversation, generation):
            answer = client.request(method, path, **options)
            assert answer.status_code in {400, 403}, (method, path, options, answer.text)
            assert answer.json()["error"]["code"] in {"bad_request", "forbidden"}
            client.cookies.clear()
            count += 1
    assert count > 40
    assert tables(site, without={"chat_message.text", "chat_message.reasoning"}) == before
    assert ada.stop(generation)["status"] == "stopped"


def test_s02_the_sites_own_page_may_do_all_that(ada):
    path = f"{API}/conversations/{ada.conversation()}/messages/"
    answer = ada.browser.post(path, json={"text": "Mine.", "model": "openai:words:2"})
    assert answer.status_code == 202
    generation = answer.json()["generation"]["id"]
    assert ada.browser.post(f"{API}/generations/{generation}/stop/").status_code == 200


# Keys ---------------------------------------------------------------------------------

KEYS = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.utils import timezone
from chat.models import ApiKey
ada = get_user_model().objects.get(username="ada")
gone, created = get_user_model().objects.get_or_create(username="gone", is_active=False)
for name, owner, fields in [
    ("expired", ada, {"expires_at": timezone.now() - timedelta(seconds=1)}),
    ("revoked", ada, {"revoked_at": timezone.now()}),
    ("inactive", gone, {}),
    ("valid", ada, {}),
]:
    row, key = ApiKey.objects.create_key(owner)
    ApiKey.objects.filter(pk=row.pk).update(**fields)
    print("KEY", name, key)
"""


@pytest.fixture(scope="module")
def keys(_shared):
    printed = _shared[0].manage("shell", "-v0", "-c", KEYS)
    return dict(re.findall(r"KEY (\w+) (\S+)", printed))


def altered(key: str) -> dict[str, str]:
    """Return keys that are nearly right."""
    _, prefix, secret = key.split("-", 2)
    return {
        "cut": key[:-1],
        "longer": f"{key}x",
        "other-case": key.swapcase(),
        "other-prefix": f"sk-00000000-{secret}",
        "no-secret": f"sk-{prefix}-",
        "only-prefix": f"sk-{prefix}",
        "wildcard": "sk-%-%",
        "quoted": f'"{key}"',
    }


def test_s11_only_the_hash_of_a_key_is_stored(site, keys):
    stored = (
        b"".join(path.read_bytes() for path in site.data_dir.rglob("*") if path.is_file())
        + database_path(site).with_name("db.sqlite3-wal").read_bytes()
    )
    for key in keys.values():
        _, prefix, secret = key.split("-", 2)
        assert len(secret) >= 22  # 128 bits.
        assert prefix.encode() in stored
        assert secret.encode() not in stored


def test_s11_keys_that_are_over_or_wrong_open_nothing(site, keys):
    valid = keys["valid"]
    wrong = {name: keys[name] for name in ("expired", "revoked", "inactive")} | altered(valid)
    with httpx.Client(base_url=site.url) as client:
        path = f"{API}/conversations/"
        right = client.get(path, headers={"Authorization": f"Bearer {valid}"})
        assert right.status_code == 200
        for name, key in wrong.items():
            headers = {"Authorization": f"Bearer {key}"}
            answer = client.get(path, headers=headers)
            assert answer.status_code == 401, name
            assert answer.json()["error"]["code"] == "not_authenticated"
            with open_socket(site, headers=headers) as socket:
                assert socket.close_code() == 4401, name


@pytest.mark.parametrize("name", ["token", "api_key", "key", "access_token", "Authorization"])
def test_s11_a_key_in_the_address_is_not_looked_at(site, keys, name):
    answer = httpx.get(f"{site.url}{API}/conversations/", params={name: keys["valid"]})
    assert answer.status_code == 401


def test_s11_a_key_is_judged_alone_even_beside_a_good_session(ada, keys):
    headers = {"Authorization": f"Bearer {keys['revoked']}"}
    assert ada.browser.get(f"{API}/conversations/", headers=headers).status_code == 401


# Other people's things ------------------------------------------------------------------


def test_s05_frames_that_name_other_peoples_things_find_nothing(ada, bob, site):
    generation = bob.ask("Mine.", model="openai:infinite@20")
    (prompt, answer) = bob.messages(generation["conversation"])
    own = ada.conversation()
    before = tables(site, without={"chat_message.text", "chat_message.reasoning"})
    frames = [
        ("follow", {"generation": generation["id"], "after": 0}),
        ("stop", {"generation": generation["id"]}),
        ("regenerate", {"id": "s05-a", "message": answer["id"]}),
        ("send", {"id": "s05-b", "conversation": generation["conversation"], "text": "Hi."}),
        ("send", {"id": "s05-c", "conversation": own, "parent": answer["id"], "text": "Hi."}),
        ("send", {"id": "s05-d", "conversation": own, "parent": prompt["id"], "text": "Hi."}),
    ]
    unknown = "01890000-0000-7000-8000-000000000000"
    with ada.socket() as socket:
        socket.wait("hello")
        for kind, fields in frames:
            socket.send(kind, **fields)
            foreign = socket.wait("error")
            assert foreign["code"] == "not_found"
            ids = (generation["id"], generation["conversation"], prompt["id"], answer["id"])
            asked = {name: unknown if value in ids else value for name, value in fields.items()}
            socket.send(kind, **asked)
            nobodys = socket.wait("error")
            assert {**foreign, "generation": 0} == {**nobodys, "generation": 0}
        socket.send("unfollow", generation=generation["id"])
        socket.send("send", id="s05-e", conversation=None, text="Hi.", owner=1)
        assert socket.wait("error")["code"] == "bad_request"
        socket.ping()
        assert socket.pending == []
    assert tables(site, without={"chat_message.text", "chat_message.reasoning"}) == before
    assert bob.stop(generation["id"])["status"] == "stopped"

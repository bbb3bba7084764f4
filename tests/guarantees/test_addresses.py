"""Each address of the site, whoever asks: reading changes nothing, a stranger's id is no id."""

import http.client
import re
from contextlib import closing
from uuid import uuid4

import httpx
import pytest

from tests.guarantees.addresses import fill, names, routes
from tests.guarantees.clients import Person
from tests.guarantees.tables import tables

ROUTES = sorted(set(routes()))
OWN_ROUTES = [route for route in ROUTES if not route.startswith("admin/")]
KINDS = ("attachment", "conversation", "generation", "key", "message", "persona", "share")
OWNED = {f"{name}_id" for name in KINDS}
BYTES = {"Accept-Encoding": "identity"}
# The admin calls every id the same, so each kind of thing is filled in by itself.
ADMIN_IDS = "admin/chat/{}/<path:object_id>/"


class Things:
    """One of everything that a person may own."""

    def __init__(self, person: Person) -> None:
        with person.socket() as socket:  # A new conversation, so that its title is the prompt.
            accepted = socket.ask("Mine alone.", model="openai:words:3")
        generation = person.ended(person.generation(accepted["generation"]))
        page = person.browser.post("/account/", data={"name": "mine", "days": "30"})
        assert page.status_code == 200
        path = f"/conversations/{generation['conversation']}/shares/"
        share = person.http.post(path, json={}).json()
        file = person.http.post("/attachments/", files={"file": ("notes.txt", b"Mine alone.")})
        persona = person.http.post("/personas/", json={"name": "Mine alone."}).json()
        self.ids = {
            "persona_id": persona["id"],
            "attachment_id": file.json()["id"],
            "share_id": share["id"],
            "conversation_id": generation["conversation"],
            "message_id": generation["message"],
            "generation_id": generation["id"],
            "key_id": re.search(r"/account/keys/([0-9a-f-]{36})/revoke/", page.text)[1],
        }


@pytest.fixture(scope="module")
def things(_shared):
    people = _shared[1]
    return {person.name: Things(person) for person in (people.bob, people.root)}


def test_the_walk_knows_every_kind_of_address(things):
    found = {name for route in OWN_ROUTES for name in names(route)}
    assert things["bob"].ids.keys() <= found
    assert len(ROUTES) > 40
    assert [route for route in ROUTES if route.endswith("_id>/events/")]


def addresses(ids: dict[str, str]) -> list[str]:
    """Return all addresses, with the ids where they belong, in the admin too."""
    found = [fill(route, ids) for route in ROUTES]
    for model in ("conversation", "message", "generation", "persona"):
        own = [route for route in ROUTES if route.startswith(ADMIN_IDS.format(model))]
        found += [fill(route, {"object_id": ids[f"{model}_id"]}) for route in own]
    return found


def test_s03_reading_changes_nothing(site, people, things):
    reader = people.root
    before = tables(site)
    requests = 0
    unlike = set()
    for address in addresses(things["root"].ids):
        for client in (reader.browser, reader.http):
            statuses = {}
            for method in ("GET", "HEAD", "OPTIONS"):
                answer = client.request(method, site.url + address, headers=BYTES)
                assert answer.status_code < 500, (method, address, answer.text[:500])
                statuses[method] = answer.status_code
                requests += 1
            if statuses["HEAD"] != statuses["GET"]:
                unlike.add(address)
    # Whoever followed a link to the end of the session would be signed out by reading.
    assert reader.browser.get("/api/v1/conversations/").status_code == 200
    assert requests > 300
    # HEAD is answered like GET. (Django's own exception.)
    assert {address for address in unlike if not address.startswith("/api/")} == {"/admin/login/"}
    after = tables(site)
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}


def test_s03_head_is_answered_without_a_body(site, people):
    root = people.root
    generation = root.ended(root.ask("x" * 65_000, model="openai:words:1"))
    prompt = root.messages(generation["conversation"])[0]["id"]
    address = f"/admin/chat/message/{prompt}/change/"
    length = len(root.browser.get(address).content)
    assert length > 65_536  # More than Django sends at once.
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    with closing(connection):
        for method, size in [("HEAD", 0), ("GET", length), ("HEAD", 0), ("GET", length)]:
            connection.request(method, address, headers={"Cookie": f"sessionid={root.session}"})
            answer = connection.getresponse()
            assert (answer.status, len(answer.read())) == (200, size)


BODIES = [None, {}, {"text": "Hi."}, {"title": "Taken."}, {"model": "openai:words:1"}]
ACCEPTS = ["*/*", "text/event-stream", "application/json"]


def strangers_requests(route: str) -> list[tuple[str, dict]]:
    """Return the requests to try on a route, as (method, options)."""
    found = [(m, {"headers": {"Accept": a}}) for m in ("GET", "HEAD") for a in ACCEPTS]
    found += [
        (method, {"json": body, "headers": {"Accept": accept}})
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for body in BODIES
        for accept in ACCEPTS[:2]
    ]
    if not route.startswith("api/"):
        found.append(("POST", {"data": {"csrfmiddlewaretoken": "c" * 32}}))
    return found


def described(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str, str]:
    """Return all of an answer that could tell one id from another."""
    text = answer.text
    for id_ in ids.values():
        text = text.replace(id_, "ID")
    text = re.sub(r'(csrfmiddlewaretoken" value|csrf-token" content)="\w+"', r"\1", text)
    text = re.sub(r"(nonce[-=]\"?)[\w+/=-]+", r"\1", text)
    return answer.status_code, answer.headers.get("content-type", ""), text


STRANGERS_ROUTES = [
    route for route in OWN_ROUTES if names(route) & {f"{kind}_id" for kind in KINDS}
]


@pytest.mark.parametrize("route", STRANGERS_ROUTES)
@pytest.mark.parametrize("by", ["browser", "http"])
def test_s04_a_strangers_id_is_answered_like_no_id(site, ada, things, route, by):
    foreign = things["bob"].ids
    unknown = {name: str(uuid4()) for name in foreign}
    client = getattr(ada, by)
    before = tables(site)
    for method, options in strangers_requests(route):
        theirs, nobodys = (
            described(client.request(method, site.url + fill(route, ids), **options), ids)
            for ids in (foreign, unknown)
        )
        assert theirs == nobodys, (method, options)
        assert theirs[0] in {302, 400, 401, 403, 404, 405}, (method, options, theirs)
    assert tables(site) == before


def test_s04_lists_hold_only_ones_own(ada, bob, things):
    foreign = set(things["bob"].ids.values())
    listed = ada.http.get("/conversations/?limit=200").text
    found = ada.http.get("/conversations/?q=Mine alone").json()["items"]
    home = ada.browser.get("/").text
    account = ada.browser.get("/account/").text
    assert found == []
    for text in (listed, home, account):
        assert not [id_ for id_ in foreign if id_ in text]
    assert bob.http.get("/conversations/?q=Mine alone").json()["items"]


def test_s04_nobody_signed_in_gets_nothing(site, things):
    foreign = things["bob"].ids
    with httpx.Client(base_url=site.url) as client:
        for route in STRANGERS_ROUTES:
            for method in ("GET", "POST", "PATCH", "DELETE"):
                answer = client.request(method, fill(route, foreign))
                assert answer.status_code in {302, 401, 403, 405}, (method, route)
                assert "Mine alone." not in answer.text

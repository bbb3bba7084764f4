"""Who may use which model, at every door of a real site with a real model server."""

import json
import re
import time
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest
from websockets.sync.client import connect

from tests.servers import DaphneSite

OWN_KEY = "sk-canary-own-0123456789"
DEFINE = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from chat.models import ServedModel
group = Group.objects.create(name="makers")
get_user_model().objects.get(username="ada").groups.add(group)
fast = ServedModel(name="fast", label="Fast one", model="words:3", base_url="{url}",
                   temperature=0.25)
fast.set_key("{key}")
fast.save()
fast.groups.add(group)
found = ServedModel.objects.create(name="openai:echo", label="Parrot", images="yes")
"""


@pytest.fixture(scope="module")
def site():
    with DaphneSite(env={"CHAT_MODEL": "fast"}) as site:
        for name in ("ada", "bob"):
            site.create_user(name)
        site.manage("shell", "-c", DEFINE.format(url=site.upstream.base_url, key=OWN_KEY))
        time.sleep(6)  # Another process has defined them.
        yield site
        assert OWN_KEY not in site.output


@pytest.fixture
def people(site):
    site.upstream.reset()
    keys = {name: site.create_api_key(name) for name in ("ada", "bob")}
    clients = {
        name: httpx.Client(
            base_url=site.url, headers={"Authorization": f"Bearer {key}"}, timeout=20
        )
        for name, key in keys.items()
    }
    yield clients
    for client in clients.values():
        client.close()


def api(client, method, path, body=None):
    return client.request(method, f"/api/v1{path}", json=body)


def ask(client, **fields):
    chat = api(client, "POST", "/conversations/", {}).json()["id"]
    return api(client, "POST", f"/conversations/{chat}/messages/", {"text": "Hello"} | fields)


def ended(client, generation):
    deadline = time.monotonic() + 15
    while True:
        found = api(client, "GET", f"/generations/{generation}/").json()
        if found["status"] not in ("queued", "running"):
            return found
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_lists_hold_what_each_may_use(people):
    ada = api(people["ada"], "GET", "/models/").json()["items"]
    bob = api(people["bob"], "GET", "/models/").json()["items"]
    assert (ada[0]["name"], ada[0]["label"], ada[0]["provider"]) == ("fast", "Fast one", "openai")
    assert "fast" not in {each["name"] for each in bob}
    parrot = next(each for each in bob if each["name"] == "openai:echo")
    assert (parrot["label"], parrot["images"]) == ("Parrot", True)
    listed = {n: {m["id"] for m in c.get("/v1/models").json()["data"]} for n, c in people.items()}
    assert "fast" in listed["ada"]
    assert "fast" not in listed["bob"]
    assert people["bob"].get("/v1/models/fast").status_code == 404


def test_pages_and_personas_name_only_what_each_may_use(site, people):
    for name, may in (("ada", True), ("bob", False)):
        sent = ask(people[name], model="demo").json()
        ended(people[name], sent["generation"]["id"])
        answer = sent["generation"]["message"]
        with httpx.Client(base_url=site.url, cookies=site.login(name), timeout=20) as browser:
            for path in ("/", "/personas/new/", f"/m/{answer}/again/"):
                page = browser.get(path)
                assert page.status_code == 200
                assert ('"fast"' in page.text) is may, path
        made = api(people[name], "POST", "/personas/", {"name": "Quick", "model": "fast"})
        assert made.status_code == (201 if may else 404)


def test_an_answer_is_asked_with_its_own_key_and_parameters(site, people):
    answer = ask(people["ada"], model="fast")
    assert answer.status_code == 202, answer.text
    assert ended(people["ada"], answer.json()["generation"]["id"])["status"] == "done"
    entry = site.upstream.journal[0]
    assert entry["headers"]["authorization"] == f"Bearer {OWN_KEY}"
    assert (entry["model"], entry["body"]["temperature"]) == ("words:3", 0.25)


def at_every_door(client, name):
    turn = {"role": "user", "content": "Hello"}
    part = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    asked = {"id": f"c{uuid4().hex[:15]}", "model": name, "trigger": "submit-message"}
    return [
        ask(client, model=name),
        api(client, "POST", "/conversations/", {"model": name}),
        client.post("/v1/chat/completions", json={"model": name, "messages": [turn]}),
        client.post("/api/chat", json=asked | {"messages": [part]}),
    ]


def test_a_strangers_model_is_an_unknown_one_at_every_door(site, people):
    bob = people["bob"]
    refusals = [at_every_door(bob, name) for name in ("fast", "fost")]
    for theirs, unknown in zip(*refusals, strict=True):
        assert theirs.status_code == unknown.status_code == 404, theirs.text
        assert theirs.text.replace("fast", "fost") == unknown.text
    assert site.upstream.journal == []


def test_a_strangers_model_is_unknown_over_the_socket_and_again(site, people):
    done = ask(people["bob"]).json()
    ended(people["bob"], done["generation"]["id"])
    answer = done["generation"]["message"]
    again = api(people["bob"], "POST", f"/messages/{answer}/regenerate/", {"model": "fast"})
    assert (again.status_code, again.json()["error"]["code"]) == (404, "unknown_model")
    headers = {"Authorization": people["bob"].headers["Authorization"]}
    with connect(f"{site.ws_url}/ws/chat/", additional_headers=headers) as socket:
        frame = {"type": "send", "id": uuid4().hex, "text": "Hello", "model": "fast"}
        socket.send(json.dumps(frame))
        while (told := json.loads(socket.recv(timeout=10)))["type"] != "error":
            pass
    assert told["code"] == "unknown_model"


def test_a_strangers_model_is_unknown_over_the_ai_sdks_socket(site, people):
    headers = {"Authorization": people["bob"].headers["Authorization"]}
    said = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    told = {}
    with connect(f"{site.ws_url}/ws/ai/", additional_headers=headers) as socket:
        for name in ("fast", "fost"):
            chat = {"id": f"c{uuid4().hex[:15]}", "messages": [said], "trigger": "submit-message"}
            frame = {"type": "send", "requestId": name, "headers": {}, "body": {"model": name}}
            socket.send(json.dumps(frame | chat))
            told[name] = json.loads(socket.recv(timeout=10))
    assert told["fast"]["type"] == "error"
    assert json.dumps(told["fast"]).replace("fast", "fost") == json.dumps(told["fost"])
    assert site.upstream.journal == []


def test_a_strangers_model_is_refused_to_a_form(site, people):
    with httpx.Client(base_url=site.url, cookies=site.login("bob"), timeout=20) as browser:
        page = browser.get("/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        sent = {"csrfmiddlewaretoken": token[1], "text": "Kept words", "model": "fast"}
        answer = browser.post("/", data=sent, headers={"Referer": site.url})
    assert answer.status_code == 404
    assert "Kept words" in answer.text
    assert site.upstream.journal == []


def test_who_may_not_use_the_default_gets_another(people):
    answer = ask(people["bob"]).json()["generation"]
    assert answer["model"] == "openai:echo"
    assert ask(people["ada"]).json()["generation"]["model"] == "fast"


def test_what_waits_for_a_model_that_is_turned_off_fails_and_is_kept(site, people):
    ada = people["ada"]
    site.upstream.script("infinite@40")
    chat = api(ada, "POST", "/conversations/", {}).json()["id"]
    path = f"/conversations/{chat}/messages/"
    first = api(ada, "POST", path, {"text": "One", "model": "openai:echo"}).json()["generation"]
    second = api(ada, "POST", path, {"text": "Two", "model": "fast"}).json()["generation"]
    turn = (
        "from chat.models import ServedModel as M; M.objects.filter(name='fast').update(is_on={})"
    )
    site.manage("shell", "-c", turn.format(False))
    try:
        time.sleep(6)
        api(ada, "POST", f"/generations/{first['id']}/stop/")
        found = ended(ada, second["id"])
        assert (found["status"], found["error"]["code"]) == ("failed", "unknown_model")
        items = api(ada, "GET", path).json()["items"]
        assert "Two" in [item["text"] for item in items]
    finally:
        site.manage("shell", "-c", turn.format(True))
        time.sleep(6)
        with suppress(httpx.HTTPError):
            api(ada, "DELETE", f"/conversations/{chat}/")

"""Secrets stay where they are needed, whatever fails and whoever quotes them."""

import json
import time
from uuid import uuid4

from tests.guarantees.clients import API
from tests.guarantees.sites import CANARIES, SECRET_KEY, UPSTREAM_KEY, asked


def quoting(key: str) -> dict:
    """Return the error of a provider that quotes the key it was given."""
    words = f"Incorrect API key provided: {key}. Authorization: Bearer {key}"
    return {"error": {"message": words, "type": "invalid_request_error", "code": None, "key": key}}


REFUSALS = [
    [{"status": 401, "body": quoting(UPSTREAM_KEY)}],
    [{"status": 400, "body": quoting(UPSTREAM_KEY)}],
    [{"status": 404, "body": f"<html>{UPSTREAM_KEY}</html>"}],
    [{"delta": "a"}, {"raw": f"data: {json.dumps(quoting(UPSTREAM_KEY))}\n\n"}],
    [{"delta": "a"}, {"raw": f"event: error\ndata: {json.dumps(quoting(UPSTREAM_KEY))}\n\n"}],
    [{"delta": "a"}, {"raw": f"data: {{{UPSTREAM_KEY}\n\n"}],
    [{"delta": "a"}, {"raw": f"{UPSTREAM_KEY}\n\n"}],
]


def test_x08_no_secret_is_told_or_logged(ada, site):
    secrets = (*CANARIES, ada.key, ada.session)
    told: list[str] = []
    for script in REFUSALS:
        prompt = f"Fail {uuid4().hex[:8]}"
        site.upstream.script(script)
        generation = ada.ask(prompt)
        events = ada.streamed(generation["id"])
        assert events[-1].kind == "failed"
        with ada.socket() as socket:
            socket.send("follow", generation=generation["id"])
            told += [event.data for event in socket.events(generation["id"])]
        told += [event.data for event in events]
        told.append(ada.http.get(f"/generations/{generation['id']}/").text)
        told.append(ada.http.get(f"/conversations/{generation['conversation']}/messages/").text)
        (entry,) = asked(site, prompt)
        assert entry["headers"]["authorization"] == f"Bearer {UPSTREAM_KEY}"
    told += [str(told_by(ada, path)) for path in PAGES]
    for secret in secrets:
        assert not [text for text in told if secret in text], secret
        assert secret not in site.output
        stored = (site.data_dir / "db.sqlite3").read_bytes()
        assert secret == ada.session or secret.encode() not in stored
    assert SECRET_KEY not in json.dumps(list(site.upstream.journal), default=str)


PAGES = [
    "/", "/account/", "/no/such/page", "/admin/", "/accounts/login/", f"{API}/openapi.json",
    f"{API}/models/", f"{API}/conversations/?limit=x", f"{API}/generations/x/", "/setup/x/",
    f"{API}/conversations/?q=%00", "/static/no-such-file",
]  # fmt: skip


def told_by(person, path: str) -> tuple[str, dict[str, str]]:
    answer = person.browser.get(path)
    assert answer.status_code < 500
    return answer.text, dict(answer.headers)


def test_x08_the_model_is_told_nothing_about_the_person(ada, site):
    prompt = f"Who am I? {time.monotonic_ns()}"
    ada.ended(ada.ask(prompt, model="openai:words:2"))
    (entry,) = asked(site, prompt)
    sent = json.dumps([entry["body"], entry["headers"]])
    for secret in (ada.key, ada.session, SECRET_KEY, "cookie", '"ada"'):
        assert secret not in sent


def test_x08_prompts_and_answers_are_not_logged(ada, site):
    prompt = f"Between us: {uuid4().hex}"
    ada.ended(ada.ask(prompt, model="openai:echo"))
    site.upstream.script([{"delta": prompt}, {"reset": True}])
    assert ada.ended(ada.ask(prompt))["status"] == "failed"
    with ada.socket() as socket:
        socket.send_raw(json.dumps({"type": "send", "text": prompt}))
        socket.wait("error")
    ada.http.post("/conversations/", content=f'{{"x":"{prompt}"')
    assert prompt not in site.output

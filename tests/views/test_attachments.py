"""Files over the API and the WebSocket, on a site with a scripted model."""

import base64
import io
import json
from uuid import uuid4

import httpx
import pytest
from PIL import Image
from websockets.sync.client import connect

from tests.servers import DaphneSite, Site, UvicornSite

PROMPT = {"text": "What is this?"}


def png(size=(8, 8), **options) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "PNG", **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def headers(live_site: Site):
    live_site.create_user("fay")
    return {"Authorization": f"Bearer {live_site.create_api_key('fay')}"}


@pytest.fixture
def api(live_site: Site, headers):
    live_site.upstream.reset()
    with httpx.Client(base_url=f"{live_site.url}/api/v1", headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
def conversation(api):
    return api.post("/conversations/", json={"model": "openai:gpt-4o"}).json()["id"]


def upload(api, name="notes.txt", content=b"a note"):
    return api.post("/attachments/", files={"file": (name, content)})


def send(api, conversation, ids, **fields):
    path = f"/conversations/{conversation}/messages/"
    return api.post(path, json={**PROMPT, "attachments": ids, **fields})


def ask(api, conversation, ids, **fields):
    """Send, and read the answer to its end."""
    path = f"/conversations/{conversation}/messages/"
    headers = {"Accept": "text/event-stream"}
    answer = api.post(path, json={**PROMPT, "attachments": ids, **fields}, headers=headers)
    assert "event: done" in answer.text, answer.text


def read_to_end(api, generation):
    """Leave no answer whose model is asked for it only while the next test counts."""
    assert "event: done" in api.get(f"/generations/{generation}/events/").text


def code_of(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_a_file_is_uploaded_read_by_its_owner_alone_and_deleted(api, live_site):
    answer = upload(api, "päper.txt", "grüße".encode("utf-16"))
    assert answer.status_code == 201
    file = answer.json()
    assert (file["name"], file["kind"], file["size"]) == ("päper.txt", "text", 7)
    path = f"/attachments/{file['id']}/"
    content = api.get(path)
    assert content.text == "grüße"
    assert content.headers["content-disposition"].startswith("attachment")
    assert content.headers["x-content-type-options"] == "nosniff"
    policy = {part.strip() for part in content.headers["content-security-policy"].split(";")}
    assert {"sandbox", "default-src 'none'"} <= policy
    assert content.headers["cache-control"].startswith("private")
    live_site.create_user("gus")
    stranger = {"Authorization": f"Bearer {live_site.create_api_key('gus')}"}
    for method in ("GET", "DELETE"):
        assert api.request(method, path, headers=stranger).status_code == 404
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.bin", b"\x00\x01\x02\xff", (415, "unsupported_file")),
        ("a.txt", b"  \n", (415, "unsupported_file")),
        ("a.txt", b"a" * 524_289, (413, "attachment_too_large")),
        ("a.png", png((600, 600))[:200], (415, "unsupported_file")),
        ("a.png", png((7000, 7000)), (413, "attachment_too_large")),
        ("a.png", png() + b"\x00" * 5_242_880, (413, "attachment_too_large")),
    ],
    ids=["binary", "empty", "long", "cut", "bomb", "large"],
)
def test_what_cannot_be_taken_is_refused_by_its_name(api, name, content, code):
    answer = upload(api, name, content)
    assert code_of(answer) == code
    assert answer.json()["error"]["message"].startswith(f"{name}: ")


def test_a_form_without_a_file_is_a_bad_request(api):
    assert code_of(api.post("/attachments/", files={"other": b"x"})) == (400, "bad_request")
    broken = {"Content-Type": "multipart/form-data"}
    answer = api.post("/attachments/", content=b"x", headers=broken)
    assert answer.status_code == 400


def test_text_files_reach_the_model_before_the_prompt_and_stay_in_its_history(
    api, live_site, conversation
):
    live_site.upstream.script("words:2", "words:2")
    file = upload(api, "a.md", b"```\ncode\n```").json()["id"]
    ask(api, conversation, [file])
    ask(api, conversation, [])
    first, second = (entry["body"]["messages"] for entry in live_site.upstream.journal)
    said = "a.md:\n````\n```\ncode\n```\n````\n\nWhat is this?"
    assert first[-1] == {"role": "user", "content": said}
    assert second[-3:][0] == {"role": "user", "content": said}
    assert second[-1]["content"] == "What is this?"


def test_images_reach_the_model_without_their_metadata(api, live_site, conversation):
    live_site.upstream.script("words:2", "words:2")
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    file = upload(api, "a.png", png((4000, 10), exif=exif)).json()
    assert (file["kind"], file["media_type"]) == ("image", "image/png")
    ask(api, conversation, [file["id"]])
    ask(api, conversation, [], model="openai:blind")
    first, second = (entry["body"]["messages"] for entry in live_site.upstream.journal)
    text, image = first[-1]["content"]
    assert text == {"type": "text", "text": "[a.png]\n\nWhat is this?"}
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    content = base64.b64decode(data)
    assert b"SecretCamera" not in content
    assert Image.open(io.BytesIO(content)).size == (2048, 5)
    # A model that takes none is told that there was one.
    assert second[-3]["content"] == "[a.png: image, not shown]\n\nWhat is this?"


def test_an_image_for_a_model_that_takes_none_is_refused_and_stays(api, conversation):
    file = upload(api, "a.png", png()).json()["id"]
    refused = send(api, conversation, [file], model="demo")
    assert code_of(refused) == (422, "images_not_supported")
    assert "Choose another model" in refused.json()["error"]["message"]
    assert api.delete(f"/attachments/{file}/").status_code == 204


def test_each_file_is_sent_once_by_its_owner(api, live_site, conversation):
    live_site.upstream.script("words:2", "words:2")
    file = upload(api).json()["id"]
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/conversations/{conversation}/messages/"
    sent = [api.post(path, json={**PROMPT, "attachments": [file]}, headers=key) for _ in "ab"]
    assert [each.status_code for each in sent] == [202, 202]
    assert sent[0].json()["message"] == sent[1].json()["message"]
    assert sent[0].json()["message"]["attachments"][0]["id"] == file
    conflict = api.post(path, json=PROMPT, headers=key)
    assert code_of(conflict) == (409, "idempotency_conflict")
    assert code_of(send(api, conversation, [file])) == (400, "bad_request")
    assert code_of(send(api, conversation, [str(uuid4())])) == (400, "bad_request")
    assert code_of(send(api, conversation, [str(uuid4()) for _ in range(11)])) == (
        400,
        "bad_request",
    )
    assert api.delete(f"/attachments/{file}/").status_code == 404
    listed = api.get(path).json()["items"]
    assert [len(each["attachments"]) for each in listed] == [1, 0]
    read_to_end(api, sent[0].json()["generation"]["id"])


def test_files_are_named_in_exports_and_copied_by_forks(api, live_site, conversation):
    live_site.upstream.script("words:2")
    file = upload(api, "list.csv", b"a,b").json()["id"]
    ask(api, conversation, [file])
    export = f"/conversations/{conversation}/export/"
    told = api.get(export, params={"format": "json"}).json()["conversations"][0]["messages"][0]
    assert told["attachments"][0]["name"] == "list.csv"
    assert "list.csv" in api.get(export, params={"format": "markdown"}).text
    messages = api.get(f"/conversations/{conversation}/messages/").json()["items"]
    fork = api.post(f"/conversations/{conversation}/fork/", json={"message": messages[1]["id"]})
    copied = api.get(f"/conversations/{fork.json()['id']}/messages/").json()["items"][0]
    copy = copied["attachments"][0]["id"]
    assert copy != file
    api.delete(f"/conversations/{conversation}/", params={"permanently": True})
    assert api.get(f"/attachments/{file}/").status_code == 404
    assert api.get(f"/attachments/{copy}/").text == "a,b"


def test_a_frame_names_files(api, live_site, headers, conversation):
    live_site.upstream.script("words:2")
    file = upload(api).json()["id"]
    address = live_site.url.replace("http", "ws", 1) + "/ws/chat/"
    with connect(address, additional_headers=headers) as socket:
        frame = {"type": "send", "id": str(uuid4()), "conversation": conversation, **PROMPT}
        socket.send(json.dumps({**frame, "attachments": [file]}))
        while (accepted := json.loads(socket.recv(timeout=10)))["type"] != "accepted":
            pass
    listed = api.get(f"/conversations/{conversation}/messages/").json()["items"]
    assert listed[0]["attachments"][0]["id"] == file
    read_to_end(api, accepted["generation"])


def test_files_move_with_the_prompts_that_wait(api, live_site, conversation):
    live_site.upstream.script("words:400@40", "words:2", "words:2")
    running = send(api, conversation, []).json()["generation"]["id"]
    file = upload(api).json()["id"]
    send(api, conversation, [file], text="b")
    last = send(api, conversation, [], text="c").json()["generation"]["id"]
    items = api.patch(f"/generations/{last}/", json={"place": 1}).json()["items"]
    assert [(item["text"], item["attached"]) for item in items] == [("c", 0), ("b", 1)]
    listed = api.get(f"/conversations/{conversation}/messages/").json()["items"]
    assert {each["text"]: len(each["attachments"]) for each in listed if each["text"] in "bc"} == {
        "": 0,
        "b": 1,
        "c": 0,
    }
    for item in items:
        api.post(f"/generations/{item['generation']}/stop/")
    api.post(f"/generations/{running}/stop/")


@pytest.mark.parametrize("server", [DaphneSite, UvicornSite])
def test_only_uploads_may_be_longer_than_other_bodies(server, site_factory):
    site = site_factory(server)
    site.create_user("ivy")
    headers = {"Authorization": f"Bearer {site.create_api_key('ivy')}"}
    file = io.BytesIO()
    Image.effect_noise((1300, 1300), 90).save(file, "PNG")
    assert len(file.getvalue()) > 1_200_000
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=20) as api:
        assert upload(api, "noise.png", file.getvalue()).status_code == 201
        long = {"file": ("a.txt", b"a" * 1_200_000)}
        assert api.post("/conversations/", files=long).status_code == 413

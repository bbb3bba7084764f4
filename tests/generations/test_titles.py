"""Titles made by a model, at a real site with a real model server."""

import time

import httpx
import pytest

from chat.generations.titles import clean_title
from tests.servers import DaphneSite

ANSWER = "text:Use a hash table."


@pytest.fixture(scope="module")
def site():
    with DaphneSite(env={"CHAT_TITLES": "on", "CHAT_TITLE_MODEL": "openai:cheap"}) as site:
        site.create_user()
        yield site


@pytest.fixture
def client(site):
    site.upstream.reset()
    headers = {"Authorization": f"Bearer {site.create_api_key()}"}
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers) as client:
        yield client


def until(true, *, seconds=15):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def send(client, text, *, to=None, **fields):
    if to is None:
        to = client.post("/conversations/", json=fields).json()["id"]
    answer = client.post(f"/conversations/{to}/messages/", json={"text": text})
    generation = answer.json()["generation"]["id"]
    until(lambda: client.get(f"/generations/{generation}/").json()["status"] == "done")
    return to


def title(client, conversation):
    return client.get(f"/conversations/{conversation}/").json()["title"]


def test_after_the_first_answer_the_title_model_names_the_conversation(site, client):
    site.upstream.script(ANSWER, 'text:"**Looking up fast.**"\n\nBecause')
    conversation = send(client, "How do I look up a word quickly?")
    until(lambda: title(client, conversation) == "Looking up fast")
    asked = site.upstream.journal[1]
    assert asked["model"] == "cheap"
    shown = asked["body"]["messages"][-1]["content"]
    assert "How do I look up a word quickly?" in shown
    assert "Use a hash table." in shown
    assert asked["body"]["max_tokens"] == 200
    send(client, "And then?", to=conversation)
    assert len(site.upstream.journal) == 3  # It has its title: none is asked for again.
    assert title(client, conversation) == "Looking up fast"


def test_a_title_given_meanwhile_stays(site, client):
    site.upstream.script(
        ANSWER, [{"sleep": 1.0}, {"delta": "Theirs"}, {"finish": "stop"}, {"done": True}]
    )
    conversation = send(client, "A question")
    until(lambda: len(site.upstream.journal) == 2)
    client.patch(f"/conversations/{conversation}/", json={"title": "Mine"})
    until(lambda: site.upstream.journal[1]["ended"])
    send(client, "More", to=conversation)
    assert title(client, conversation) == "Mine"
    assert len(site.upstream.journal) == 3


def test_a_title_given_before_is_not_replaced(site, client):
    conversation = send(client, "A question", title="Mine")
    send(client, "More", to=conversation)
    assert title(client, conversation) == "Mine"
    assert [asked["model"] for asked in site.upstream.journal] == ["fake", "fake"]


def test_what_failed_is_made_after_the_next_answer(site, client):
    site.upstream.script(ANSWER, "status:401")
    conversation = send(client, "A question")
    until(lambda: f"No title for conversation {conversation}" in site.output)
    assert title(client, conversation) == "A question"
    site.upstream.script(ANSWER, "text:Second try")
    send(client, "More", to=conversation)
    until(lambda: title(client, conversation) == "Second try")


def test_temporary_chats_and_those_of_other_dialects_are_not_named(site, client):
    send(client, "A secret", temporary=True)
    body = {"model": "openai:fake", "messages": [{"role": "user", "content": "Hello"}]}
    assert client.post(f"{site.url}/v1/chat/completions", json=body).status_code == 200
    conversation = send(client, "A question", title="Mine")  # What came before is over by now.
    assert title(client, conversation) == "Mine"
    assert [asked["model"] for asked in site.upstream.journal] == ["fake"] * 3


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Title: *Looms* of `Lisbon`.", "Looms of Lisbon"),
        ("<think>So they ask\nabout looms.</think>\n\n„Webstühle in Köln“", "Webstühle in Köln"),
        ("# Using snake_case_names\nmore", "Using snake_case_names"),
        ("[Looms](https://example.com/)", "Looms"),
        ("<think>for ever", ""),
        ("織機の歴史", "織機の歴史"),
        ("word " * 30, "word " * 11 + "word…"),
        ("x" * 80, "x" * 59 + "…"),
    ],
)
def test_a_title_is_one_short_line_without_marks(said, title):
    assert clean_title(said) == title
    assert len(title) <= 60

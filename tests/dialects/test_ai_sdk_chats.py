"""Whose a chat of the AI SDK is, which conversation it names, and what a prompt follows there."""

from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.dialects.ai_sdk import Caller, Client, answer_of, body, chunks_of, text_of, ui
from tests.dialects.test_ai_sdk_socket import deltas, open_socket
from tests.guarantees.sites import site_with_people
from tests.upstream import words_text

PAGE = "http://localhost:5173"


@pytest.fixture(scope="module")
def served():
    env = {"CHAT_OPEN_DIALECTS": "on", "CHAT_CORS_ORIGINS": PAGE}
    with site_with_people(expect_errors=True, **env) as served:
        yield served


@pytest.fixture
def caller(site, ada):
    return Caller(site, ada)


@pytest.fixture
def stranger(site, bob):
    return Caller(site, bob)


@pytest.fixture
def chat_id():
    return f"a chat/{uuid4()}?x=ü"  # Any text will do.


def path_of(chat_id):
    return f"/chat/{quote(chat_id, safe='')}"  # As encodeURIComponent() does.


def tree(person, answer):
    """Return the conversation of an answer as (role, text, text of the parent)."""
    rows = person.messages(answer["metadata"]["conversation"])
    texts = {row["id"]: row["text"] for row in rows}
    return [(row["role"], row["text"], texts.get(row["parent"])) for row in rows]


def prompts(person, answer):
    rows = person.messages(answer["metadata"]["conversation"])
    return {row["text"]: row["parent"] for row in rows if row["role"] == "user"}


# What a prompt follows ----------------------------------------------------------------


def test_the_same_id_is_the_same_conversation_and_only_of_its_owner(
    caller, stranger, chat_id, ada, bob
):
    first = caller.ask(chat_id, ui("One"))
    other = stranger.ask(chat_id, ui("Two"))
    second = caller.ask(chat_id, ui("One"), first, ui("Two"))
    assert first["metadata"]["conversation"] == second["metadata"]["conversation"]
    assert other["metadata"]["conversation"] != first["metadata"]["conversation"]
    assert prompts(ada, first) == {"One": None, "Two": first["id"]}
    assert prompts(bob, other) == {"Two": None}


def test_a_client_that_sends_only_its_last_message_goes_on_below_the_newest_answer(
    caller, chat_id, ada
):
    asked = {"id": chat_id, "model": "openai:words:3"}
    first, second = (
        answer_of(caller.post(asked | {"message": ui(text)})) for text in ("One", "Two")
    )
    assert prompts(ada, second) == {"One": None, "Two": first["id"]}
    third = caller.ask(chat_id, ui("Three"))  # Shown alone, and no edit.
    assert prompts(ada, third)["Three"] == second["id"]


def test_two_tabs_that_go_on_from_one_answer_are_two_branches(caller, chat_id, ada):
    first = caller.ask(chat_id, ui("One"))
    for text in ("In one tab", "In another"):
        last = caller.ask(chat_id, ui("One"), first, ui(text))
    assert prompts(ada, last) == {"One": None, "In one tab": first["id"], "In another": first["id"]}


def test_an_answer_that_is_not_known_is_looked_past(caller, chat_id, ada):
    first = caller.ask(chat_id, ui("One"))
    unknown = ui("Made by the page", role="assistant", message_id=str(uuid4()))
    last = caller.ask(chat_id, ui("One"), first, ui("Never sent"), unknown, ui("Two"))
    assert prompts(ada, last)["Two"] == first["id"]


def test_a_chat_that_is_not_known_yet_begins_with_what_its_client_shows(caller, chat_id, ada, site):
    greeting = ui("Hello, how can I help?", role="assistant")
    answer = caller.ask(chat_id, ui("Be brief.", role="system"), greeting, ui("One"))
    assert tree(ada, answer) == [
        ("system", "Be brief.", None),
        ("assistant", "Hello, how can I help?", "Be brief."),
        ("user", "One", "Hello, how can I help?"),
        ("assistant", words_text(3), "One"),
    ]
    sent = site.upstream.journal[-1]["body"]["messages"]
    assert [message["content"] for message in sent] == [
        "Be brief.",
        "Hello, how can I help?",
        "One",
    ]


def test_a_request_without_an_id_goes_on_by_what_was_said(caller, ada):
    told = [{"role": "user", "content": f"Version 2, {uuid4()}"}]
    for _ in range(2):
        answer = answer_of(caller.post({"messages": told, "model": "openai:words:3"}))
        told += [
            {"role": "assistant", "content": text_of(answer)},
            {"role": "user", "content": "Go on"},
        ]
    assert [role for role, *_ in tree(ada, answer)] == ["user", "assistant"] * 2


def again(chat_id, *messages, **fields):
    named = {"trigger": "regenerate-message", "model": "openai:words:5"}
    return body(chat_id, *messages, **named | fields)


def test_an_answer_is_given_again_by_its_id_by_its_prompt_or_as_the_newest(caller, chat_id, ada):
    prompt = ui("One")
    first = caller.ask(chat_id, prompt)
    second = caller.ask(chat_id, prompt, first, ui("Two"))
    asked = {
        "by its id": again(chat_id, prompt, messageId=first["id"]),
        "by its prompt": again(chat_id, prompt),
        "by the id of its prompt": again(chat_id, prompt, messageId=prompt["id"]),
        "by our id of its prompt": again(
            chat_id, messageId=ada.messages(first["metadata"]["conversation"])[0]["id"]
        ),
    }
    for how, request in asked.items():
        answer = answer_of(caller.post(request))
        assert text_of(answer) == words_text(5), how
        assert tree(ada, answer)[-1] == ("assistant", words_text(5), "One"), how
    newest = answer_of(caller.post({"id": chat_id, "trigger": "regenerate-message"}))
    assert tree(ada, newest)[-1][2] == "One"
    last = answer_of(caller.post(again(chat_id, prompt, first, ui("Two"))))
    assert tree(ada, last)[-1] == ("assistant", words_text(5), "Two")
    assert [text for _, text, _ in tree(ada, last)].count("Two") == 1
    assert second["id"] != last["id"]


def test_what_was_never_answered_is_asked_when_it_is_to_be_given_again(caller, chat_id, ada):
    answer = answer_of(caller.post(again(chat_id, ui("One"))))
    assert tree(ada, answer) == [("user", "One", None), ("assistant", words_text(5), "One")]
    refused = caller.post(again(f"{chat_id} 2"))
    assert refused.status_code == 422
    assert refused.text == "There is no answer here that could be given again."


def test_a_key_asked_with_twice_is_answered_once(caller, chat_id, site):
    headers = {"Idempotency-Key": str(uuid4())}
    asked = body(chat_id, ui("Once"), model="openai:words:3")
    first, second = (answer_of(caller.post(asked, headers=headers)) for _ in range(2))
    assert first["id"] == second["id"]
    assert len(site.upstream.journal) == 1


def test_a_prompt_waits_for_the_one_before_it(caller, chat_id, ada):
    with caller.begin(body(chat_id, ui("One"), model="openai:words:60@60")) as stream:
        next(stream)
        second = caller.ask(chat_id, ui("Two"))
        rest = "".join(stream)
    assert "[DONE]" in rest
    assert [text for _, text, _ in tree(ada, second)] == [
        "One",
        words_text(60),
        "Two",
        words_text(3),
    ]


# Reading and stopping -----------------------------------------------------------------


def test_a_chat_is_found_by_the_id_in_its_address(caller, stranger, chat_id):
    path = path_of(chat_id)
    with caller.begin(body(chat_id, ui("One"), model="openai:infinite@50")) as stream:
        next(stream)
        for who, ending, status in (
            (stranger, "/stream", 204),
            (stranger, "/stop", 204),
            (caller, "/stop?x", 204),
        ):
            method = "POST" if "stop" in ending else "GET"
            sent = {"messageId": str(uuid4())} if who is caller else None  # A stale one.
            answer = who.call(method, path + ending, json=sent)
            assert (answer.status_code, answer.text) == (status, "")
        with httpx.stream(
            "GET", caller.url(f"{path}/stream/"), headers=caller.headers, timeout=30
        ) as again:
            assert again.status_code == 200
            assert next(again.iter_text()).startswith('data: {"type":"start"')
            assert caller.call("DELETE", f"{path}/stream/").status_code == 204
        assert '{"type":"abort","reason":"stopped"}' in "".join(stream)
    assert caller.call("GET", f"{path}/stream").status_code == 204


def test_addresses_with_a_slash_at_the_end_are_the_same(caller, chat_id):
    assert len(chunks_of(caller.post(body(chat_id, ui("One")), "/chat/"))) > 3
    assert caller.post({"prompt": "One"}, "/completion/").status_code == 200
    assert caller.call("POST", f"{path_of(chat_id)}/stop/").status_code == 204


def test_bodies_that_are_not_of_the_form_are_refused_in_a_few_words(caller):
    for path, content in {
        "/chat": ["", "{", "[]", "{}", '{"id": 3}'],
        "/completion": ["{}", '{"prompt": 3}', '{"prompt": " "}'],
        "/chat/x/stop": ["{", "[]"],
    }.items():
        for each in content:
            headers = {"Content-Type": "application/json"}
            answer = caller.call("POST", path, content=each, headers=headers)
            assert answer.status_code == 422, (path, each)
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            assert 0 < len(answer.text) < 200
    assert caller.call("POST", "/chat", content="{}").status_code == 422
    for path in ("/chat?protocol=x", "/completion?protocol=data-v1"):
        assert caller.call("POST", path, json={"prompt": "x"}).status_code == 422
    assert caller.call("PUT", "/chat").status_code == 405


# Guests and pages -----------------------------------------------------------------------


def test_a_guest_has_chats_of_its_own(node, site, chat_id, caller):
    with node.open("ai_sdk.mjs", 7) as dialogue:
        client = Client(dialogue, site)
        over_http = client.chat(chat_id)
        shown = over_http.ask("Hello", model="words:3")
        assert text_of(shown["messages"][-1]) == words_text(3)
        over_socket = client.socket_chat(chat_id, messages=shown["messages"])
        shown = over_socket.ask("And again", model="words:5")
        assert [text_of(m) for m in shown["messages"][1::2]] == [words_text(3), words_text(5)]
        places = {m["metadata"]["conversation"] for m in shown["messages"][1::2]}
        assert len(places) == 1
    assert caller.ask(chat_id, ui("Hello"))["metadata"]["conversation"] not in places


def test_a_wrong_key_makes_nobody_a_guest(site):
    wrong = {"Authorization": "Bearer sk-wrong"}
    answer = httpx.post(f"{site.url}/api/chat", json=body("c", ui("x")), headers=wrong)
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_page_that_is_named_may_ask_and_another_may_not(site):
    for origin, status in ((PAGE, 200), (site.url, 200), ("http://evil.test", 403)):
        headers = {"Origin": origin}
        answer = httpx.post(f"{site.url}/api/chat", json=body("c", ui("x")), headers=headers)
        assert answer.status_code == status, origin
        assert (answer.headers.get("Access-Control-Allow-Origin") == PAGE) == (origin == PAGE)
    preflight = httpx.options(
        f"{site.url}/api/chat/c/stream",
        headers={"Origin": PAGE, "Access-Control-Request-Method": "DELETE"},
    )
    assert "DELETE" in preflight.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("who", ["guest", "session"])
def test_a_socket_is_opened_by_pages_that_are_named(site, ada, who):
    cookie = {"Cookie": f"sessionid={ada.session}"} if who == "session" else {}
    for origin in (PAGE, site.url):
        with open_socket(site, Origin=origin, **cookie) as socket:
            socket.ask(f"{who} {origin}", ui("Hello"))
            frames = socket.until("end")
        assert deltas(frames) == words_text(3)
        place = frames[1]["chunk"]["messageMetadata"]["conversation"]
        found = ada.http.get(f"/conversations/{place}/").status_code
        assert found == (200 if who == "session" else 404)
    for origin in ("http://evil.test", "null"):
        with pytest.raises(InvalidStatus), open_socket(site, Origin=origin, **cookie):
            pass


def test_a_session_without_an_origin_opens_no_socket(site, ada):
    with pytest.raises(InvalidStatus), open_socket(site, Cookie=f"sessionid={ada.session}"):
        pass

"""The AI SDK's chat over HTTP with its own clients; numbers are those of the checklist 4.7."""

from contextlib import ExitStack

import pytest

from tests.dialects.ai_sdk import Caller, Client, body, chunks_of, text_of, ui
from tests.upstream import words_text

# Generous: they only tell "at once" from "when the answer has ended".
AT_ONCE = 5.0
LONG = "words:150@100"


@pytest.fixture(scope="module")
def dialogues(node):
    with ExitStack() as stack:
        yield {major: stack.enter_context(node.open("ai_sdk.mjs", major)) for major in (5, 6, 7)}


@pytest.fixture(params=[5, 6, 7])
def client(request, dialogues, site, ada):
    return Client(dialogues[request.param], site, ada)


@pytest.fixture
def clients(dialogues, site, ada):
    return [Client(dialogue, site, ada) for dialogue in dialogues.values()]


@pytest.fixture
def newest_client(clients):
    return clients[-1]


@pytest.fixture
def caller(site, ada):
    return Caller(site, ada)


@pytest.fixture
def stranger(site, bob):
    return Caller(site, bob)


@pytest.fixture
def call_version_4(node, site, ada):
    """A function that sends bodies as clients before version 5 do, and returns their answers."""

    def call(*bodies):
        return node.run(
            "ai_sdk_data.mjs", f"{site.url}/api/chat?protocol=data-v1", ada.key, input=bodies
        )

    return call


def told(text):
    return {"role": "user", "content": text}


def metadata_of(shown):
    return shown["messages"][-1]["metadata"]


# The checklist --------------------------------------------------------------------


def test_4_7_05_an_answer_has_the_parts_and_the_metadata_that_were_sent(client, ada):
    shown = client.chat().ask("Hello", model="words:30")
    assert (shown["status"], shown["error"]) == ("ready", None)
    prompt, answer = shown["messages"]
    assert text_of(prompt) == "Hello"
    assert answer["parts"][0] == {"type": "step-start"}
    assert [part["type"] for part in answer["parts"]] == ["step-start", "text"]
    assert (text_of(answer), answer["parts"][1]["state"]) == (words_text(30), "done")
    metadata = answer["metadata"]
    assert metadata["model"] == "openai:words:30"
    assert metadata["usage"] == {"inputTokens": 7, "outputTokens": 30, "totalTokens": 37}
    generation = ada.generation(metadata["generation"])
    assert (generation["message"], generation["conversation"]) == (
        answer["id"],
        metadata["conversation"],
    )
    (finished,) = shown["finished"]
    assert finished.pop("finishReason", "stop") == "stop"  # Version 5 does not tell it.
    assert finished == {"isAbort": False, "isDisconnect": False, "isError": False}


def test_4_7_05_reasoning_is_a_part_of_its_own(client):
    answer = client.chat().ask("Hello", model="reasoning:reasoning")["messages"][-1]
    told = [(part["type"], part["text"], part["state"]) for part in answer["parts"][1:]]
    assert told == [
        ("reasoning", "Let me think about it.", "done"),
        ("text", "The answer.", "done"),
    ]


def test_4_7_05_the_steps_of_an_agent_are_parts_that_say_how_they_ended(client, site):
    site.upstream.script("text:safe", "text:answer_question", "words:3")
    shown = client.chat().ask("Why?", body={"agent": "router", "model": "openai:fake"})
    answer = shown["messages"][-1]
    steps = [part["data"] for part in answer["parts"] if part["type"] == "data-step"]
    names = [step["name"] for step in steps]
    assert names == ["prompt", "check_safety", "decide_mode", "answer_question"]
    assert {step["status"] for step in steps} == {"done"}
    assert text_of(answer) == words_text(3)
    assert len(shown["data"]) == 2 * len(steps)  # Each was told when it began, too.


@pytest.mark.parametrize(
    ("said", "told"),
    [("length", "length"), ("content_filter", "content-filter"), ("odd_reason", "other")],
)
def test_4_7_05_every_reason_to_finish_is_one_that_the_client_knows(client, said, told):
    shown = client.chat().ask("Hello", model=f"finish:{said}")
    assert (shown["status"], shown["errors"]) == ("ready", [])
    assert shown["finished"][0].get("finishReason", told) == told


def test_4_7_05_two_chats_at_once_do_not_mix(client):
    prompts = [" ".join(f"chat{number}word{i}" for i in range(60)) for number in range(2)]
    chats = [client.chat() for _ in prompts]
    for chat, prompt in zip(chats, prompts, strict=True):
        chat.send(prompt, model="echo@200")
    assert [text_of(chat.end()["messages"][-1]) for chat in chats] == prompts


def test_4_7_05_any_text_arrives_as_it_is(client):
    for mode, text in {
        "raw-text:a\u2028b\u0085c": "a\u2028b\u0085c",
        "text:\ndata: x\n\nid: 1\n\n": "\ndata: x\n\nid: 1\n\n",
        "text:👋🏽 Grüße\r\n": "👋🏽 Grüße\r\n",
    }.items():
        assert text_of(client.chat().ask("Hello", model=mode)["messages"][-1]) == text


@pytest.mark.parametrize("mode", ["error-after:3", "cut-after:3"])
def test_4_7_06_a_failure_in_mid_stream_keeps_the_text_and_is_told(client, ada, mode):
    shown = client.chat().ask("Hello", model=mode)
    assert shown["status"] == "error"
    assert shown["errors"] == [shown["error"]]
    assert 0 < len(shown["error"]) < 100
    answer = shown["messages"][-1]
    assert text_of(answer) == words_text(3)
    generation = ada.generation(answer["metadata"]["generation"])
    assert (generation["status"], generation["error"]["message"]) == ("failed", shown["error"])
    assert ada.saved_text(generation) == words_text(3)


def test_4_7_06_a_refusal_is_a_short_text_for_people(client):
    shown = client.chat(body={"model": "nothing"}).ask("Hello")
    assert shown["status"] == "error"
    assert "nothing" in shown["error"]
    assert "{" not in shown["error"]


def test_4_7_07_an_answer_given_again_stands_beside_the_earlier_one(client, ada):
    chat = client.chat()
    first = chat.ask("Hello", model="words:3")["messages"][-1]
    chat.regenerate(model="words:5")
    shown = chat.end()
    again = shown["messages"][-1]
    assert (len(shown["messages"]), text_of(again)) == (2, words_text(5))
    assert again["id"] != first["id"]
    rows = ada.messages(again["metadata"]["conversation"])
    assert [(row["role"], row["text"]) for row in rows] == [
        ("user", "Hello"),
        ("assistant", words_text(3)),
        ("assistant", words_text(5)),
    ]
    assert rows[1]["parent"] == rows[2]["parent"] == rows[0]["id"]


def test_4_7_07_an_earlier_answer_is_given_again_where_it_stands(client, ada):
    chat = client.chat()
    first = chat.ask("One", model="words:3")["messages"][-1]
    chat.ask("Two", model="words:3")
    chat.regenerate(model="words:5", messageId=first["id"])
    again = chat.end()["messages"]
    assert [text_of(message) for message in again] == ["One", words_text(5)]
    rows = {
        row["id"]: row for row in ada.messages(metadata_of({"messages": again})["conversation"])
    }
    assert rows[again[-1]["id"]]["parent"] == rows[first["id"]]["parent"]
    third = chat.ask("Three", model="words:3")["messages"]
    prompt = {row["id"]: row for row in ada.messages(first["metadata"]["conversation"])}[
        third[-1]["id"]
    ]["parent"]
    rows = {row["id"]: row for row in ada.messages(first["metadata"]["conversation"])}
    assert rows[prompt]["parent"] == again[-1]["id"]


def test_4_7_07_an_edited_prompt_is_a_branch(client, ada):
    chat = client.chat()
    shown = chat.ask("One", model="words:3")
    chat.ask("Two", model="words:3")
    prompts = [message for message in chat.end()["messages"] if message["role"] == "user"]
    edited = chat.ask("Two!", model="words:3", messageId=prompts[1]["id"])["messages"]
    assert [text_of(each) for each in edited] == ["One", words_text(3), "Two!", words_text(3)]
    begun = chat.ask("One!", model="words:3", messageId=prompts[0]["id"])["messages"]
    assert [text_of(each) for each in begun] == ["One!", words_text(3)]
    rows = ada.messages(metadata_of(shown)["conversation"])
    parents = {row["text"]: row["parent"] for row in rows if row["role"] == "user"}
    assert parents["Two!"] == parents["Two"] == shown["messages"][-1]["id"]
    assert parents["One!"] is parents["One"] is None


def test_4_7_08_after_a_reload_the_same_text_comes_from_the_beginning(clients, caller, stranger):
    left = [client.chat() for client in clients]
    for chat in left:
        chat.send("Hello", model=LONG)
    reloaded = []
    for client, chat in zip(clients, left, strict=True):
        shown = chat.until(50)
        chat.stop()  # It leaves, as a page does that is reloaded. That stops nothing.
        again = client.chat(chat.id, messages=shown["messages"][:1])
        again.resume()
        assert again.until(1)["status"] == "streaming"
        assert stranger.call("GET", f"/chat/{chat.id}/stream").status_code == 204
        reloaded.append((chat, shown, again))
    for chat, shown, again in reloaded:
        ended = again.end()
        assert text_of(ended["messages"][-1]) == words_text(150)
        assert ended["messages"][-1]["id"] == shown["messages"][-1]["id"]
        assert ended["status"] == "ready"
        assert caller.call("GET", f"/chat/{chat.id}/stream").status_code == 204
        again.resume()
        assert again.end()["messages"] == ended["messages"]


def test_4_7_08_two_tabs_read_the_same_and_one_that_leaves_stops_nothing(newest_client, ada):
    tabs = [newest_client.chat("shared chat") for _ in range(3)]
    tabs[0].send("Hello", model=LONG)
    shown = tabs[0].until(50)
    for tab in tabs[1:]:
        tab.resume()
        tab.until(1)
    tabs[0].stop()
    answers = [tab.end()["messages"][-1] for tab in tabs[1:]]
    assert answers[0] == answers[1]
    generation = ada.ended(ada.generation(metadata_of(shown)["generation"]))
    assert generation["status"] == "done"
    assert ada.saved_text(generation) == text_of(answers[0]) == words_text(150)


def test_4_7_09_a_stop_ends_the_answer_and_keeps_its_text(client, caller, site, ada):
    chat = client.chat()
    chat.send("Hello", model="infinite@50")
    chat.until(30)
    assert caller.call("POST", f"/chat/{chat.id}/stop").status_code == 204
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)
    shown = chat.end()
    assert (shown["status"], shown["error"]) == ("ready", None)
    answer = shown["messages"][-1]
    assert answer["parts"][-1]["state"] == "done"
    generation = ada.generation(answer["metadata"]["generation"])
    assert generation["status"] == "stopped"
    assert ada.saved_text(generation) == text_of(answer)
    assert caller.call("GET", f"/chat/{chat.id}/stream").status_code == 204
    assert caller.call("POST", f"/chat/{chat.id}/stop").status_code == 204


def test_4_7_11_parts_that_are_not_known_are_ignored(client, site):
    parts = [
        {"type": "step-start"},
        {"type": "file", "mediaType": "text/plain", "url": "data:,x"},
        {"type": "data-mood", "data": {"mood": "good"}},
        {"type": "tool-weather", "toolCallId": "t", "state": "output-available", "output": 1},
        {"type": "text", "text": "Only this"},
    ]
    asked = {"id": "m", "role": "user", "parts": parts}
    chat = client.chat(messages=[asked])
    chat.regenerate(model="echo")
    assert text_of(chat.end()["messages"][-1]) == "Only this"


def test_4_7_11_what_is_too_long_is_refused(client, caller):
    shown = client.chat().ask("x" * 70_000)
    assert shown["status"] == "error"
    assert "bytes" in shown["error"]
    assert caller.post(body("c", ui("x" * 70_000))).status_code == 413
    assert caller.post(body("c", ui("x" * 1_100_000))).status_code == 413
    assert caller.post(body("c" * 256, ui("x"))).status_code == 422


def test_4_7_12_a_silent_model_is_waited_for(clients, call_version_4, caller, site):
    steps = [{"delta": "a"}, {"sleep": 2.5}, {"delta": "b"}, {"finish": "stop"}, {"done": True}]
    site.upstream.script(*[steps] * 5)
    chats = [client.chat() for client in clients]
    for chat in chats:
        chat.send("Hello")
    (oldest,) = call_version_4({"id": "silent", "messages": [told("Hello")]})
    assert oldest["message"]["content"] == "ab"
    raw = caller.post(body("silent too", ui("Hello"))).text
    assert ": keep-alive\n\n" in raw
    assert {line.partition(":")[0] for line in raw.split("\n") if line} == {"data", ""}
    assert {text_of(chat.end()["messages"][-1]) for chat in chats} == {"ab"}


# Other forms ------------------------------------------------------------------------


def test_a_stream_has_the_headers_of_its_form(caller):
    answer = caller.post(body("headers", ui("Hello"), model="openai:words:3"))
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "no-store" in answer.headers["cache-control"]
    types = dict.fromkeys(chunk["type"] for chunk in chunks_of(answer))
    text = ["text-start", "text-delta", "text-end"]
    assert list(types) == ["start", "start-step", *text, "finish-step", "finish"]
    data = caller.post(body("headers", ui("Hello")), "/chat?protocol=data-v1")
    assert data.headers["x-vercel-ai-data-stream"] == "v1"
    assert caller.post(body("headers", ui("Hello")), "/chat?protocol=x").status_code == 422


def test_a_client_of_version_4_reads_the_data_stream(call_version_4, ada):
    first = {"id": "v4", "messages": [told("First")], "model": "openai:reasoning:reasoning"}
    broken = {"id": "v4 b", "messages": [told("Broken")], "model": "openai:error-after:3"}
    answer, failed = call_version_4(first, broken)
    message = answer["message"]
    parts = [(part["type"], part.get("text") or part.get("reasoning")) for part in message["parts"]]
    assert parts == [
        ("step-start", None),
        ("reasoning", "Let me think about it."),
        ("text", "The answer."),
    ]
    assert (answer["finishReason"], answer["error"]) == ("stop", None)
    assert answer["usage"] == {"promptTokens": 7, "completionTokens": 5, "totalTokens": 12}
    assert failed["message"]["content"] == words_text(3)
    assert failed["error"]
    # It tells no ids, so its conversation goes on by what was said, and branches so too.
    reply = {"role": "assistant", "content": "The answer."}
    for text in ("Second", "Second again"):
        (more,) = call_version_4(first | {"messages": [told("First"), reply, told(text)]})
        assert text_of(more["message"]) == "The answer."
    rows = ada.messages(ada.http.get("/conversations/?q=First").json()["items"][0]["id"])
    parents = {row["text"]: row["parent"] for row in rows if row["role"] == "user"}
    assert parents == {
        "First": None,
        "Second": message["id"],
        "Second again": message["id"],
    }


PROTOCOLS = pytest.mark.parametrize("protocol", [None, "text"])


def complete(client, model, *, protocol, **options):
    named = {"streamProtocol": protocol} if protocol else {}
    return client.complete("Complete this", model=model, **named, **options)


@PROTOCOLS
def test_a_completion_is_read_by_its_own_client(client, ada, protocol):
    found = complete(client, "echo", protocol=protocol)
    assert (found["completion"], found["error"]) == ("Complete this", None)
    failed = complete(client, "error-after:3", protocol=protocol)
    assert failed["completion"] == words_text(3)
    assert failed["error"]
    titles = [row["title"] for row in ada.http.get("/conversations/").json()["items"]]
    assert "Complete this" in titles


@PROTOCOLS
def test_a_completion_that_is_left_is_stopped(client, site, protocol):
    complete(client, "infinite@50", protocol=protocol, leave=30)
    assert site.upstream.wait_for(lambda journal: journal[-1]["closed"], timeout=AT_ONCE)


def test_a_completion_as_text_that_fails_before_it_has_a_status_and_a_reason(client):
    found = complete(client, "status:401", protocol="text")  # Which the site does not try again.
    assert (found["status"], found["completion"]) == (502, "")
    assert 0 < len(found["error"]) < 100

"""Burr's streaming chat as its page talks to it; numbers are those of the checklist 1.7."""

import json
import re

import httpx
import pytest
from burr.tracking.server.schema import ApplicationSummary

from tests.dialects.burr_client import API, QUESTION, REFUSAL, UNSAFE, Chat, turns
from tests.upstream import words_text

BEFORE = ["prompt", "check_safety", "decide_mode"]
END = ({"finish": "stop"}, {"done": True})


@pytest.fixture
def chat(site, ada, request):
    """An application of ada's with the test's own name."""
    with Chat(site, request.node.name, key=ada.key) as chat:
        yield chat


def frames_of(stream):
    """Return the frames of a raw answer, each on its own."""
    found = re.findall(r".*?\n\n", stream, re.DOTALL)
    assert "".join(found) == stream
    return found


def conversation_of(person, prompt):
    (row,) = person.http.get("/conversations/", params={"q": prompt}).json()["items"]
    return row["id"]


def raw(chat, prompt):
    with chat.stream(prompt) as answer:
        return answer, "".join(answer.iter_text())


# The checklist --------------------------------------------------------------------


def test_1_7_01_an_application_is_made_and_listed_at_once(chat):
    before = chat.apps()["total"]
    assert chat.create() == chat.app
    found = chat.apps()
    assert found["total"] == before + 1
    newest = found["applications"][0]
    assert (newest["app_id"], newest["num_steps"], newest["partition_key"]) == (chat.app, 0, None)
    assert chat.create() == chat.app
    assert chat.apps()["total"] == before + 1


def test_1_7_02_the_history_alternates_and_says_what_was_streamed(site, chat):
    assert chat.history() == []
    chat.create()
    assert chat.history() == []
    site.upstream.script(*QUESTION, "words:30")
    first = chat.ask("One")
    site.upstream.script("text:safe", "text:generate_poem", "text:Roses.")
    second = chat.ask("Two")
    assert (first.answer, second.answer) == (words_text(30), "Roses.")
    assert chat.history() == turns("One", first.answer, "Two", second.answer)


def test_1_7_03_the_first_frame_is_the_history_without_the_new_prompt(site, chat):
    for number in (0, 2):
        site.upstream.script(*QUESTION, "words:3")
        page = chat.ask(f"Prompt {number}")
        assert page.kinds[0] == "chat_history"
        assert page.kinds.count("chat_history") == 1
        assert len(page.history) == number
        assert chat.history()[:number] == page.history


def test_1_7_04_every_frame_is_one_line_of_json_and_nothing_else_is_sent(site, chat):
    site.upstream.script(*QUESTION, "markdown")
    answer, stream = raw(chat, "Why?")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-store, no-transform"
    for frame in frames_of(stream):
        assert re.fullmatch(r"data: \{.*\} ?\n\n", frame)
        assert frame.count("data: ") == 1
        json.loads(frame.removeprefix("data: "))
    assert json.loads(frames_of(stream)[-1].removeprefix("data: ")) == {"type": "done"}


@pytest.mark.parametrize(
    "text", ["data: x", "a\n\nb", "👋🏽 世界", "a\u2028b\u0085c", 'data: "\\data: '], ids=range(5)
)
def test_1_7_05_whatever_the_model_says_comes_through_the_loop_of_the_page(site, chat, text):
    site.upstream.script(*QUESTION, [{"delta": text}, {"delta": text}, *END])
    page = chat.ask(text)
    assert page.answer == text * 2
    assert [each["content"] for each in chat.history()] == [text, text * 2]


def test_1_7_05_it_comes_through_the_same_loop_in_javascript(site, ada, chat, node):
    texts = ["data: x", "👋🏽\u2028\n\n", "data: " * 500]
    for text in texts:
        site.upstream.script(*QUESTION, [{"delta": text}, {"sleep": 0.1}, {"delta": text}, *END])
    address = f"{site.url}{chat.chatbot}/response/{chat.name}"
    found = node.run("burr.mjs", address, ada.key, texts)
    assert [page["answer"] for page in found] == [text * 2 for text in texts]
    assert found[-1]["history"] == chat.history()[:4]


def test_1_7_06_no_frame_is_long(site, chat):
    site.upstream.script(*QUESTION, [{"delta": "é" * 50_000}, *END])
    _, stream = raw(chat, "x" * 60_000)
    assert max(map(len, frames_of(stream))) <= 32_000
    site.upstream.script(*QUESTION, "words:3")
    page = chat.ask("Another")
    (told,) = page.history
    assert 1000 < len(told["content"]) < 16_000
    assert told["content"].endswith("é" * 1000)


def test_1_7_07_an_unsafe_prompt_is_refused_without_asking_the_model(site, chat):
    page = chat.ask(UNSAFE)
    assert page.answer == REFUSAL
    assert chat.history()[-1]["content"] == REFUSAL
    assert site.upstream.journal == []


@pytest.mark.parametrize(
    ("said", "mode"), [("Answer_Question", "answer_question"), ("generate_code.", "generate_code")]
)
def test_1_7_08_a_mode_is_understood_whatever_its_case_and_punctuation(site, chat, said, mode):
    site.upstream.script("text:safe", f"text:{said}", "words:3")
    assert chat.ask("Why?").answer == words_text(3)
    assert chat.actions()[-1] == mode


def test_1_7_09_a_failure_in_mid_answer_is_seen_and_what_was_said_is_kept(site, ada, chat):
    site.upstream.script(*QUESTION, "error-after:3")
    _, stream = raw(chat, "Will this fail?")
    events = [json.loads(frame.removeprefix("data: ")) for frame in frames_of(stream)]
    shown = "".join(event["value"] for event in events if event["type"] == "delta")
    assert [event["type"] for event in events[-3:]] == ["error", "delta", "done"]
    message = events[-3]["value"]
    assert shown == f"{words_text(3)}\n\n[error] {message}"
    assert chat.history()[-1] == {"role": "assistant", "content": shown, "type": "error"}
    messages = ada.messages(conversation_of(ada, "Will this fail?"))
    assert messages[-1]["text"] == words_text(3)
    assert ada.generation(messages[-1]["generation"])["status"] == "failed"


def test_1_7_09_a_failure_before_the_answer_is_told_in_the_same_way(site, chat):
    site.upstream.script("text:safe", "status:401")
    page = chat.ask("Why?")
    assert page.kinds == ["chat_history", "error", "delta", "done"]
    site.upstream.script(*QUESTION, "words:3")
    assert chat.ask("And now?").answer == words_text(3)


def test_1_7_10_who_leaves_in_mid_answer_and_asks_again_is_answered(site, chat):
    site.upstream.script(*QUESTION, "words:40@40", *QUESTION, "text:The second.")
    with chat.stream("First") as answer:
        parts = answer.iter_text()
        seen = ""
        while seen.count('"delta"') < 3:
            seen += next(parts)
    page = chat.ask("Second")
    assert page.answer == "The second."
    assert chat.history() == turns("First", words_text(40), "Second", "The second.")
    # It was told at once what had been said, and again when that was whole.
    histories = [each["value"] for each in page.events if each["type"] == "chat_history"]
    assert [each["content"] for each in histories[0]] == ["First"]
    assert histories[1] == chat.history()[:2]
    assert page.kinds[0] == "chat_history"


def test_1_7_11_each_turn_is_four_steps_and_a_refusal_three(site, chat):
    site.upstream.script(*QUESTION, "words:30@200")
    page = chat.ask("One")
    chat.ask(UNSAFE)
    refusal = [*BEFORE[:2], "unsafe_response"]
    assert chat.actions() == [*BEFORE, "answer_question", *refusal]
    assert chat.sequences() == list(range(7))
    assert chat.apps()["applications"][0]["num_steps"] == 7
    streaming = {}
    for step in chat.logs().steps:
        begin, end = step.step_start_log, step.step_end_log
        assert begin.start_time <= end.end_time
        assert end.state["__SEQUENCE_ID"] == begin.sequence_id
        assert end.state["__PRIOR_STEP"] == begin.action
        assert end.exception is None
        if step.streaming_events:
            streaming[begin.action] = step.streaming_events
    assert streaming.keys() == {"answer_question", "unsafe_response"}
    for first, second, third in streaming.values():
        assert first.stream_init_time <= second.first_item_time <= third.end_time
    deltas = [each for each in page.events if each["type"] == "delta" and each["value"]]
    assert len(deltas) > 1
    assert streaming["answer_question"][2].items_streamed == len(deltas)
    assert streaming["unsafe_response"][2].items_streamed == 8  # Words.


def test_1_7_11_the_state_is_that_after_the_step(site, chat):
    site.upstream.script(*QUESTION, "words:3")
    chat.ask("One")
    prompt, safety, mode, answer = (step.step_end_log.state for step in chat.logs().steps)
    assert prompt["chat_history"] == turns("One")  # Burr has that of before here.
    assert "safe" not in prompt
    assert safety["safe"] is True
    assert "mode" not in safety
    assert mode["mode"] == "answer_question"
    assert answer["chat_history"] == turns("One", words_text(3))
    assert answer["response"] == words_text(3)


def test_1_7_12_a_fork_begins_with_the_state_of_the_step_and_both_show_it(site, ada, chat):
    for number in (1, 2):
        site.upstream.script(*QUESTION, f"words:{number}")
        chat.ask(f"Forked {number}")
    conversation = conversation_of(ada, "Forked 1")
    generation = ada.messages(conversation)[1]["generation"]
    steps = ada.http.get(f"/generations/{generation}/steps/").json()["items"]
    body = {"step": steps[-1]["id"]}
    fork = ada.http.post(f"/conversations/{conversation}/fork/", json=body).json()
    state = chat.logs().steps[3].step_end_log.state
    (link,) = chat.logs().children
    assert (link.child.app_id, link.sequence_id, link.event_type) == (fork["id"], 3, "fork")
    with Chat(site, fork["id"], key=ada.key) as child:
        assert child.history() == state["chat_history"] == turns("Forked 1", words_text(1))
        summary = ApplicationSummary.model_validate(child.apps()["applications"][0])
        for pointer in (summary.parent_pointer, child.logs().parent_pointer):
            assert (pointer.app_id, pointer.sequence_id) == (chat.app, 3)
        site.upstream.script(*QUESTION, "words:5")
        assert child.ask("Elsewhere").history == state["chat_history"]
        assert child.actions()[-1] == "answer_question"
    assert len(chat.history()) == 4


def test_1_7_13_what_has_not_the_form_is_refused_as_burr_does(chat):
    path = f"{chat.chatbot}/response/{chat.name}"
    missing = {"type": "missing", "loc": ["body", "prompt"], "msg": "Field required", "input": {}}
    answer = chat.http.post(path, json={})
    assert (answer.status_code, answer.json()["detail"]) == (422, [missing])
    for body in ({"prompt": 1}, {"prompt": None}, {"prompt": " "}, []):
        answer = chat.http.post(path, json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"][0] == "body"
    answer = chat.http.post(path, content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    for project in ("a b", "ä", "a.b", "x" * 101):
        answer = chat.http.post(f"{chat.chatbot}/response/{project}/a", json={"prompt": "Hello"})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["path", "project_id"]
        assert chat.http.post(f"{chat.chatbot}/create/{project}/a").status_code == 422
        assert chat.http.get(f"{API}/{project}/__none__/apps").status_code == 422
    assert chat.history() == []


# Besides --------------------------------------------------------------------------


def test_a_silent_model_is_waited_for_with_deltas_that_say_nothing(site, chat):
    steps = [{"delta": "a"}, {"sleep": 2.5}, {"delta": "b"}, *END]
    site.upstream.script(*QUESTION, steps)
    page = chat.ask("Why?")
    assert page.answer == "ab"
    assert {"type": "delta", "value": ""} in page.events


def test_the_same_key_asks_once(site, chat):
    site.upstream.script(*QUESTION, "words:3")
    first = chat.ask("Why?", **{"Idempotency-Key": "once"})
    again = chat.ask("Why?", **{"Idempotency-Key": "once"})
    assert again.events == first.events
    assert len(chat.history()) == 2


def test_an_application_is_a_conversation_like_any_other(site, ada, chat):
    site.upstream.script(*QUESTION, "words:3")
    chat.ask("A prompt of an application")
    (row,) = ada.http.get("/conversations/", params={"q": "prompt of an appl"}).json()["items"]
    assert row["agent"] == "router"
    # And any other conversation is an application.
    site.upstream.script("words:5", "words:6")
    generation = ada.ended(ada.ask("Hello"))
    with Chat(site, generation["conversation"], key=ada.key, project="chat") as mine:
        assert mine.app in [each["app_id"] for each in mine.apps()["applications"]]
        page = mine.ask("And then?")
        assert [each["content"] for each in page.history] == ["Hello", words_text(5)]
        assert page.answer == words_text(6)
        assert mine.actions() == ["answer", "answer"]


def test_strangers_applications_are_not_there(site, bob, chat):
    chat.create()
    with Chat(site, chat.app, key=bob.key) as stranger:
        assert stranger.history() == []
        assert stranger.apps() == {"applications": [], "total": 0, "has_another_page": False}
        assert stranger.http.get(f"{API}/{chat.name}/__none__/apps").status_code == 404
        assert stranger.http.get(f"{API}/projects").json() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "streaming_chatbot/history/p/a"),
        ("POST", "streaming_chatbot/create/p/a"),
        ("POST", "streaming_chatbot/response/p/a"),
        ("GET", "p/__none__/apps"),
        ("GET", "p/a/__none__/apps"),
        ("GET", "projects"),
        ("GET", "p/annotations"),
        ("POST", "p/a/__none__/0/annotations"),
        ("PUT", "p/1/update_annotations"),
    ],
)
def test_nobody_in_particular_is_told_nothing(site, method, path):
    answer = httpx.request(method, f"{site.url}{API}/{path}")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_authenticated"

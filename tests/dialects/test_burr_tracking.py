"""Burr's telemetry as its page asks for it, read with Burr's own models."""

from datetime import datetime

import pytest
from burr.tracking.server import schema
from pydantic import TypeAdapter

from tests.dialects.burr_client import API, QUESTION, UNSAFE, Chat
from tests.guarantees.sites import site_with_people
from tests.upstream import words_text


@pytest.fixture(scope="module")
def served():
    """A site of one server: what is JSON does not depend on it."""
    with site_with_people(expect_errors=True) as served:
        yield served


@pytest.fixture
def chat(site, ada, request):
    with Chat(site, request.node.name, key=ada.key) as chat:
        yield chat


def test_a_running_step_has_no_end_yet_and_a_failed_one_says_why(site, ada, chat):
    site.upstream.script(*QUESTION, "hang-after:3")
    with chat.stream("Why does it hang?") as answer:
        parts = answer.iter_text()
        while '"delta"' not in next(parts):
            pass
        *_, running = chat.logs().steps
        assert (running.step_start_log.action, running.step_end_log) == ("answer_question", None)
        assert running.streaming_events[0].type == "begin_stream"
    (row,) = ada.http.get("/conversations/", params={"q": "does it hang"}).json()["items"]
    ada.stop(ada.messages(row["id"])[-1]["generation"])
    *_, stopped = chat.logs().steps
    assert stopped.step_end_log.exception == "Stopped"
    assert stopped.step_end_log.state["response"] == words_text(3)
    site.upstream.script(*QUESTION, "error-after:2")
    chat.ask("And now?")
    *_, failed = chat.logs().steps
    assert failed.step_end_log.exception.startswith("upstream_error: ")
    assert "Traceback" not in failed.step_end_log.exception


def test_staff_see_the_traceback(site, served):
    site.upstream.script(*QUESTION, "error-after:2")
    with Chat(site, "for staff", key=served[1].root.key) as chat:
        chat.ask("Why?")
        assert "Traceback" in chat.logs().steps[-1].step_end_log.exception


def test_the_state_machine_is_burrs(chat):
    chat.create()
    machine = chat.logs().application
    assert machine.entrypoint == "prompt"
    actions = {action.name: action for action in machine.actions}
    answers = ["generate_code", "answer_question", "generate_poem"]
    last = [*answers, "prompt_for_more", "unsafe_response"]
    assert set(actions) == {"prompt", "check_safety", "decide_mode", *last}
    assert actions["prompt"].inputs == ["prompt"]
    assert {"chat_history", "prompt"} <= set(actions["prompt"].writes)
    assert "async def check_safety" in actions["check_safety"].code
    ways = [(way.from_, way.to, way.condition) for way in machine.transitions]
    assert ways == [
        ("prompt", "check_safety", "default"),
        ("check_safety", "decide_mode", "safe=True"),
        ("check_safety", "unsafe_response", "default"),
        *(("decide_mode", name, f"mode={name}") for name in answers),
        ("decide_mode", "prompt_for_more", "default"),
        *((name, "prompt", "default") for name in last),
    ]


def test_what_models_used_is_told_under_the_names_that_the_page_adds_up(site, chat):
    site.upstream.script(*QUESTION, "words:30")
    chat.ask("Why?")
    logs = chat.logs()
    assert [len(step.spans) for step in logs.steps] == [0, 1, 1, 1]
    step = logs.steps[-1]
    values = {attribute.key: attribute.value for attribute in step.attributes}
    assert values == {
        "gen_ai.response.model": "fake",
        "gen_ai.usage.prompt_tokens": 7,
        "gen_ai.usage.completion_tokens": 30,
    }
    assert {each.span_id for each in step.attributes} == {step.spans[0].begin_entry.span_id}


def test_who_has_the_steps_as_they_are_is_told_so(site, chat):
    site.upstream.script(*QUESTION, "words:3")
    chat.ask("Why?")
    path = f"{API}/{chat.name}/__none__/apps"
    first = chat.http.get(path)
    same = {"If-None-Match": first.headers["etag"]}
    assert chat.http.get(path, headers=same).status_code == 304
    chat.ask(UNSAFE)
    second = chat.http.get(path, headers=same)
    assert (second.status_code, len(second.json()["steps"])) == (200, 7)


def test_projects_and_pages(site, ada):
    for project, app in (("Paged", 0), ("Paged", 1), ("Paged", 2), ("paged", 0)):
        with Chat(site, f"app {app}", key=ada.key, project=project) as chat:
            chat.create()
    with Chat(site, "app 0", key=ada.key, project="Paged") as chat:
        check_pages(chat)


def check_pages(chat):
    found = chat.http.get(f"{API}/projects").json()
    projects = {each.id: each for each in TypeAdapter(list[schema.Project]).validate_python(found)}
    assert (projects["Paged"].num_apps, projects["paged"].num_apps) == (3, 1)
    assert projects["Paged"].created <= projects["Paged"].last_written
    page = schema.ApplicationPage.model_validate(chat.apps(limit=2))
    assert [app.app_id for app in page.applications] == ["app 2", "app 1"]
    assert (page.total, page.has_another_page) == (3, True)
    page = schema.ApplicationPage.model_validate(chat.apps(limit=2, offset=2))
    assert [app.app_id for app in page.applications] == ["app 0"]
    assert not page.has_another_page
    for partition, total in {"__none__": 3, "null": 3, "somebody": 0}.items():
        assert chat.apps(partition)["total"] == total
    for query in ({"limit": "x"}, {"limit": -1}, {"offset": 2**40}):
        answer = chat.http.get(f"{API}/Paged/__none__/apps", params=query)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"][0] == "query"


def test_fixed_addresses_tell_of_the_server_and_need_nobody(site):
    with Chat(site, "x") as nobody:
        get = nobody.http.get
        assert get("/ready").json() == {"ready": True}
        assert get(f"{API}/ready").json() is True
        assert get(f"{API}/version").json() == {"version": "0.43.0"}
        spec = schema.BackendSpec.model_validate(get(f"{API}/metadata/app_spec").json())
        assert (spec.supports_annotations, spec.indexing) == (True, False)
        for path in ("indexing_jobs", "chatbot/history/a/b", "a/b/c/d/e/f"):
            answer = get(f"{API}/{path}")
            assert answer.status_code == 404
            assert isinstance(answer.json()["detail"], str)
        answer = nobody.http.post(f"{API}/projects")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


class Annotations:
    """What a person notes down about an application."""

    def __init__(self, chat):
        self.chat = chat

    def add(self, sequence, **fields):
        path = f"{API}/{self.chat.name}/__none__/{sequence}/annotations"
        return self.chat.http.post(path, json=note(**fields))

    def change(self, number, **fields):
        path = f"{API}/{self.chat.project}/{number}/update_annotations"
        return self.chat.http.put(path, json=note(**fields))

    def list(self, **query):
        answer = self.chat.http.get(f"{API}/{self.chat.project}/annotations", params=query)
        return TypeAdapter(list[schema.AnnotationOut]).validate_python(answer.json())


def note(text="Right.", thumbs=True, **fields):
    pointer = {"type": "state_field", "field_name": "response", "span_id": None}
    observation = {
        "data_fields": {"note": text, "ground_truth": "42"},
        "thumbs_up_thumbs_down": thumbs,
        "data_pointers": [pointer],
    }
    return {
        "span_id": None,
        "step_name": "answer_question",
        "tags": ["good"],
        "observations": [observation],
    } | fields


def test_steps_are_annotated(site, bob, chat):
    site.upstream.script(*QUESTION, "words:3")
    chat.ask("Why?")
    notes = Annotations(chat)
    before = datetime.now().astimezone()
    made = schema.AnnotationOut.model_validate(notes.add(3).json())
    assert (made.app_id, made.step_sequence_id, made.step_name) == (
        chat.app,
        3,
        "answer_question",
    )
    assert made.model_dump(include={"tags", "observations", "span_id"}) == {
        key: value for key, value in note().items() if key != "step_name"
    }
    notes.add(0, text="a\0b", thumbs=None, tags=[])
    changed = notes.change(made.id, text="Wrong.", thumbs=False, tags=["bad"], span_id="3:0")
    changed = schema.AnnotationOut.model_validate(changed.json())
    assert changed.observations[0].data_fields["note"] == "Wrong."
    assert (changed.id, changed.tags, changed.span_id) == (made.id, ["bad"], "3:0")
    assert changed.created == made.created >= before
    assert changed.updated > made.updated
    first, second = notes.list(app_id=chat.app)
    assert first == changed
    assert second.observations[0].data_fields["note"] == "a\ufffdb"
    assert notes.list(app_id=chat.app, step_sequence_id=0) == [second]
    assert {first.id, second.id} <= {each.id for each in notes.list(partition_key="__none__")}
    assert notes.list(app_id="another") == []
    with Chat(site, chat.app, key=bob.key) as stranger:
        strange = Annotations(stranger)
        assert strange.list() == []
        assert strange.add(3).status_code == 404
        assert strange.change(made.id).status_code == 404


def test_what_cannot_be_annotated(site, chat):
    site.upstream.script(*QUESTION, "words:3")
    chat.ask("Why?")
    notes = Annotations(chat)
    for sequence in (99, 2**40):
        assert notes.add(sequence).status_code == 404
        assert notes.change(2**40 + sequence).status_code == 404
    for fields in ({"tags": "good"}, {"observations": [{}]}, {"step_name": "x" * 201}):
        answer = notes.add(0, **fields)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"][0] == "body"
    form = {"Content-Type": "text/plain"}
    path = f"{API}/{chat.name}/__none__/0/annotations"
    assert chat.http.post(path, content=b"{}", headers=form).status_code == 422
    assert notes.list(app_id=chat.app) == []
    assert chat.http.get(f"{API}/{chat.name}/somebody/apps").status_code == 404

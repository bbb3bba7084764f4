"""Agents on a served site: over the WebSocket, HTTP and the OpenAI dialect."""

import json
from collections.abc import Iterator

import openai
import pytest

from chat.agents.router import CLARIFICATION, MODES, REFUSAL
from tests.agents.base import RULES_ONLY
from tests.guarantees.clients import Person
from tests.guarantees.readers import text_of
from tests.guarantees.sites import People, site_with_people
from tests.servers import Site
from tests.upstream import words_text

AGENTS = {"router": RULES_ONLY, "greeter": "tests.agents.graphs.greeter"}
MODEL = "openai:words:5"
STEPS = ["prompt", "check_safety", "decide_mode", "answer_question"]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, People]]:
    with site_with_people(CHAT_AGENTS=json.dumps(AGENTS), CHAT_MODEL=MODEL) as served:
        yield served


@pytest.fixture
def site(served: tuple[Site, People]) -> Site:
    site = served[0]
    site.upstream.reset()
    return site


@pytest.fixture
def ada(served: tuple[Site, People], site: Site) -> Person:
    return served[1].ada


@pytest.fixture
def root(served: tuple[Site, People], site: Site) -> Person:
    return served[1].root


def steps_of(person: Person, generation: str) -> list[dict]:
    answer = person.http.get(f"/generations/{generation}/steps/")
    return answer.raise_for_status().json()["items"]


def mode(site: Site, *words: str) -> None:
    site.upstream.script(*(f"text:{word}" for word in words))


# WebSocket and HTTP ---------------------------------------------------------------


def test_a_frame_chooses_the_agent_of_a_new_conversation(site, ada):
    mode(site, "answer_question")
    with ada.socket() as socket:
        accepted = socket.ask("Why?", agent="router")
        events = socket.events(accepted["generation"])
        assert text_of(events) == words_text(5)
        assert events[0].fields["agent"] == "router"
        told = [event.fields for event in events if event.kind == "step"]
        assert [(each["sequence"], each["name"]) for each in told if each["status"] == "done"] == [
            *enumerate(STEPS)
        ]
        again = socket.ask("hm", conversation=accepted["conversation"])
        assert text_of(socket.events(again["generation"])) == CLARIFICATION
        plain = socket.ask("hm", conversation=accepted["conversation"], agent="")
        assert not [e for e in socket.events(plain["generation"]) if e.kind == "step"]
    found = ada.http.get(f"/conversations/{accepted['conversation']}/").json()
    assert found["agent"] == "router"
    assert ada.generation(plain["generation"])["agent"] == ""


def test_an_answer_is_given_again_by_another_agent(site, ada):
    first = ada.ended(ada.ask("Ann", agent="greeter"))
    assert ada.saved_text(first) == "Hello, Ann! (0)"
    with ada.socket() as socket:
        socket.send("regenerate", id="again", message=first["message"], agent="router")
        mode(site, "answer_question")
        generation = socket.wait("accepted", id="again")["generation"]
        assert text_of(socket.events(generation)) == words_text(5)
    path = f"/messages/{first['message']}/regenerate/"
    again = ada.http.post(path, json={"agent": "greeter"}).json()["generation"]
    assert ada.saved_text(ada.ended(again)) == "Hello, Ann! (0)"


def test_an_agent_that_is_not_there_is_refused_everywhere(site, ada):
    with ada.socket() as socket:
        name = socket.submit("Why?", agent="nobody")
        assert socket.wait("error", id=name)["code"] == "unknown_agent"
    conversation = ada.conversation()
    for answer in (
        ada.post("Why?", conversation=conversation, agent="nobody"),
        ada.http.post("/conversations/", json={"agent": "nobody"}),
        ada.http.patch(f"/conversations/{conversation}/", json={"agent": "nobody"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_agent"
        assert "router" in answer.json()["error"]["message"]


def test_the_agent_of_a_conversation_can_be_changed(site, ada):
    conversation = ada.http.post("/conversations/", json={"agent": "greeter"}).json()["id"]
    assert ada.saved_text(ada.ended(ada.ask("Ann", conversation=conversation))) == "Hello, Ann! (0)"
    ada.http.patch(f"/conversations/{conversation}/", json={"agent": ""}).raise_for_status()
    generation = ada.ended(ada.ask("Ann", conversation=conversation))
    assert ada.saved_text(generation) == words_text(5)


def test_agents_are_listed_with_their_graphs(ada):
    router, greeter = ada.http.get("/agents/").raise_for_status().json()["items"]
    assert (router["name"], greeter["name"]) == ("router", "greeter")
    assert router["description"].startswith("Answers a question")
    graph = router["graph"]
    assert graph["entrypoint"] == "prompt"
    actions = {action["name"]: action for action in graph["actions"]}
    assert set(actions) == {*STEPS, *MODES, "prompt_for_more", "unsafe_response"}
    assert actions["prompt"] == {
        "name": "prompt",
        "kind": "action",
        "reads": [],
        "writes": ["chat_history", "prompt"],
        "inputs": ["prompt"],
        "optional_inputs": [],
        "terminal": False,
    }
    assert actions["generate_poem"]["kind"] == "stream"
    assert actions["generate_poem"]["terminal"]
    assert {
        "source": "decide_mode",
        "target": "generate_poem",
        "condition": "mode=generate_poem",
    } in graph["transitions"]


def test_steps_are_for_the_owner_and_tracebacks_for_staff(site, served, ada, root):
    found = {}
    for person in (ada, root):
        site.upstream.script("status:401")
        generation = person.ended(person.ask("Why?", agent="router"))
        assert generation["error"]["code"] == "upstream_auth"
        steps = found[person.name] = steps_of(person, generation["id"])
        assert [step["status"] for step in steps] == ["done", "done", "failed"]
        assert steps[0]["inputs"] == {"prompt": "Why?"}
        assert steps[2]["state_before"]["safe"] is True
        stranger = served[1].bob.http.get(f"/generations/{generation['id']}/steps/")
        assert stranger.status_code == 404
    assert found["ada"][2]["error"] == ""
    assert "Traceback" in found["root"][2]["error"]


def test_a_plain_answer_reads_as_one_step(ada):
    generation = ada.ended(ada.ask("Why?"))
    (step,) = steps_of(ada, generation["id"])
    assert (step["id"], step["name"], step["status"]) == (None, "answer", "done")
    assert step["usage"] == generation["usage"]


def test_a_fork_is_a_conversation_of_its_own(site, ada):
    mode(site, "answer_question")
    generation = ada.ended(ada.ask("Why?", agent="router"))
    path = f"/conversations/{generation['conversation']}/fork/"
    fork = ada.http.post(path, json={"message": generation["message"]})
    assert fork.status_code == 201
    fork = fork.json()
    assert (fork["forked_from"], fork["forked_at_step"]) == (generation["message"], None)
    assert fork["title"] == "Why? (fork)"
    assert [row["text"] for row in ada.messages(fork["id"])] == ["Why?", words_text(5)]
    step = steps_of(ada, generation["id"])[1]
    fork = ada.http.post(path, json={"step": step["id"]}).raise_for_status().json()
    assert fork["forked_at_step"] == step["id"]
    assert [row["text"] for row in ada.messages(fork["id"])] == ["Why?"]
    assert ada.http.post(path, json={}).status_code == 400


@pytest.mark.parametrize("after", ["accepted", "prompt", "decide_mode", "delta"])
def test_1_7_10_whoever_leaves_at_any_time_finds_the_answer_and_is_answered_next(site, ada, after):
    site.upstream.script("text:answer_question@200", "words:20@100")
    with ada.socket() as socket:
        accepted = socket.ask("Why?", agent="router")
        for batch in socket.batches(accepted["generation"]) if after != "accepted" else ():
            if any(after in (event.kind, event.fields.get("name")) for event in batch):
                break
    first = ada.ended({"id": accepted["generation"]})
    assert ada.saved_text(first) == words_text(20)
    assert [step["status"] for step in steps_of(ada, first["id"])] == ["done"] * 4
    mode(site, "answer_question")
    conversation = accepted["conversation"]
    assert ada.saved_text(ada.ended(ada.ask("hm", conversation=conversation))) == words_text(5)
    assert site.upstream.journal[-1]["body"]["messages"][-1]["content"].endswith(": hm")


# OpenAI ---------------------------------------------------------------------------


@pytest.fixture
def client(site, ada):
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=0) as client:
        yield client


def ask(client, *texts, **options):
    """Tell a conversation of user and assistant in turn."""
    told = [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(texts)]
    options = {"model": "agent:router"} | options
    return client.chat.completions.create(messages=told, **options)


def test_agents_are_models_of_the_openai_dialect(client):
    listed = {model.id: model.owned_by for model in client.models.list()}
    assert listed["agent:router"] == listed["agent:greeter"] == "agent"
    assert client.models.retrieve("agent:router").owned_by == "agent"
    for name in ("agent:nobody", "agent:"):
        with pytest.raises(openai.NotFoundError) as refusal:
            ask(client, "Why?", model=name)
        assert (refusal.value.code, refusal.value.param) == ("model_not_found", "model")


def test_an_agent_answers_on_the_default_model(site, client, ada):
    mode(site, "answer_question")
    answer = ask(client, "Why?")
    assert answer.choices[0].message.content == words_text(5)
    assert answer.model == "agent:router"
    assert [entry["model"] for entry in site.upstream.journal] == ["words:5", "words:5"]
    # The question for the mode is paid for as well.
    assert answer.usage.completion_tokens > 5


def test_an_agent_streams_and_a_told_conversation_goes_on(site, client, ada):
    mode(site, "generate_poem", "It falls.", "generate_code", "rain()")
    poem = "".join(c.choices[0].delta.content or "" for c in ask(client, "Rain", stream=True))
    assert poem == "It falls."
    second = ask(client, "Rain", poem, "As code")
    assert second.choices[0].message.content == "rain()"
    sent = [m["content"] for m in site.upstream.journal[-1]["body"]["messages"]]
    assert sent[1:] == ["Rain", "It falls.", f"{MODES['generate_code']['prefix']}: As code"]
    third = ask(client, "Rain", poem, "As code", "rain()", "Plainly?", model=MODEL)
    assert third.choices[0].message.content == words_text(5)
    assert site.upstream.journal[-1]["body"]["messages"][-1]["content"] == "Plainly?"
    newest = ada.http.get("/conversations/").json()["items"][0]
    assert (newest["title"], newest["agent"]) == ("Rain", "router")
    assert len(ada.messages(newest["id"])) == 6


def test_a_refusal_is_an_answer_like_any_other(site, client):
    answer = ask(client, "tell me something unsafe")
    assert answer.choices[0].message.content == REFUSAL
    assert answer.choices[0].finish_reason == "stop"
    assert site.upstream.journal == []


# Faults ---------------------------------------------------------------------------


def test_a_killed_process_s_agent_starts_its_steps_anew():
    with site_with_people(CHAT_AGENTS=json.dumps(AGENTS), CHAT_MODEL=MODEL) as (site, people):
        site.upstream.script("hang-before-headers", "text:answer_question")
        generation = people.ada.ask("Why?", agent="router")
        assert site.upstream.wait_for(len)
        site.kill()
        site.start()
        assert people.ada.saved_text(people.ada.ended(generation)) == words_text(5)
        steps = steps_of(people.ada, generation["id"])
    assert [(step["sequence"], step["name"], step["status"]) for step in steps] == [
        (number, name, "done") for number, name in enumerate(STEPS)
    ]

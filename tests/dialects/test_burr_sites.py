"""Burr's clients without credentials, over a restart, and on a site of two processes."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.dialects.burr_client import API, QUESTION, REFUSAL, UNSAFE, Chat
from tests.guarantees.sites import WIDE_LIMITS, sign_up
from tests.servers import DaphneSite, UvicornSite
from tests.upstream import words_text

OPEN = {"CHAT_OPEN_DIALECTS": "on"}


@pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
def test_1_7_11_a_guest_goes_on_where_it_was_before_a_restart(site_factory, kind):
    site = site_factory(kind, env=WIDE_LIMITS | OPEN)
    (ada,) = sign_up(site, "ada")
    with Chat(site, "app1") as guest:
        assert guest.create() == "app1"
        site.upstream.script(*QUESTION, "words:3")
        assert guest.ask("One").answer == words_text(3)
    with Chat(site, "app1", key=ada.key) as with_key:
        assert with_key.history() == []
        assert with_key.http.get(f"{API}/projects").json() == []
    site.restart()
    with Chat(site, "app1") as guest:
        guest.ask(UNSAFE)
        said = [each["content"] for each in guest.history()]
        assert said == ["One", words_text(3), UNSAFE, REFUSAL]
        assert guest.sequences() == list(range(7))
        (project,) = guest.http.get(f"{API}/projects").json()
        assert (project["id"], project["num_apps"]) == (guest.project, 1)


def test_applications_are_made_up_to_a_limit(site_factory):
    site = site_factory(env=OPEN | {"CHAT_MESSAGES_PER_MINUTE": "2"})
    with Chat(site, "1") as first, Chat(site, "2") as second, Chat(site, "3") as third:
        first.create()
        second.create()
        answer = third.http.post(f"{third.chatbot}/create/{third.name}")
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "rate_limited"
        assert first.create() == "1"


def test_1_7_14_two_processes_see_one_history(site_factory, postgres_server):
    url = postgres_server.create_database("burr")
    site = site_factory(UvicornSite, workers=2, env=WIDE_LIMITS | OPEN | {"DATABASE_URL": url})

    def ask(app, prompt):
        with Chat(site, app) as chat:  # A connection of its own: to either process.
            return chat.ask(prompt).answer

    # At once, in one application: one after the other, whichever process takes them.
    prompts = [f"Prompt {n}: tell me something unsafe" for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, ["shared"] * 4, prompts))
        assert answers == [REFUSAL] * 4
        for n in range(10):
            list(pool.map(ask, [f"{n}.{m}" for m in range(8)], [UNSAFE] * 8))
            if len(processes(url)) == 2:
                break
    assert len(processes(url)) == 2
    with Chat(site, "shared") as chat:
        check_tracking(chat)
    histories = []
    for _ in range(8):
        with Chat(site, "shared") as chat:
            histories.append(chat.history())
            assert chat.sequences() == list(range(12))
    assert histories == [histories[0]] * 8
    assert {each["content"] for each in histories[0][::2]} == set(prompts)
    assert [each["content"] for each in histories[0][1::2]] == answers


def check_tracking(chat):
    """Ask the other database for all that is tracked."""
    assert chat.apps(limit=1)["has_another_page"]
    (project,) = chat.http.get(f"{API}/projects").json()
    assert project["id"] == chat.project
    note = {"span_id": None, "step_name": "prompt", "tags": ["👋"], "observations": []}
    path = f"{API}/{chat.name}/__none__/11/annotations"
    made = chat.http.post(path, json=note).json()
    path = f"{API}/{chat.project}/{made['id']}/update_annotations"
    changed = chat.http.put(path, json=note | {"tags": ["b"]}).json()
    path = f"{API}/{chat.project}/annotations"
    assert chat.http.get(path, params={"app_id": chat.app}).json() == [changed]


def processes(url):
    """Return which processes have written answers."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT DISTINCT worker FROM chat_generation").fetchall()

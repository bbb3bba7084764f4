"""E13: what is deleted while it is being answered ends, upstream and for its readers."""

import sqlite3
import time
from contextlib import closing, suppress
from uuid import uuid4

import pytest

from tests.guarantees.forms import submit
from tests.guarantees.sites import asked, database_path, sign_up, site_with_people
from tests.guarantees.test_sign_out import user_page
from tests.guarantees.watch import by_key, by_session, watching

SOON = 1.0
LATENCY = 0.5
ENDS = {"stopped", "interrupted"}
GONE = {"not_found", "events_expired"}


@pytest.fixture(scope="module")
def served():
    with site_with_people() as (site, people):
        newcomers = sign_up(site, *(f"guest{n}" for n in range(6)))
        yield site, people, iter(newcomers)
        for person in newcomers:
            person.http.close()
            person.browser.close()


class Running:
    """A conversation with an answer being written, one that hangs, and one that waits."""

    def __init__(self, site, person) -> None:
        self.site, self.person = site, person
        self.prompts = {name: f"{name} {uuid4().hex[:8]}" for name in ("busy", "hanging")}
        self.conversations = {name: person.conversation() for name in self.prompts}
        models = {"busy": "openai:infinite@20", "hanging": "openai:hang-after:1"}
        self.answers = {
            name: person.ask(prompt, conversation=self.conversations[name], model=models[name])
            for name, prompt in self.prompts.items()
        }
        self.waiting = person.ask("Wait.", conversation=self.conversations["busy"])
        for prompt in self.prompts.values():
            assert site.upstream.wait_for(lambda _, prompt=prompt: asked(site, prompt))

    def check_upstream_closed(self, since: float, *names: str) -> None:
        for name in names:
            (entry,) = asked(self.site, self.prompts[name])
            assert self.site.upstream.wait_for(lambda _, entry=entry: entry["closed"] is not None)
            assert entry["closed"] - since <= SOON


def check_nothing_is_left(site, *ids: str) -> None:
    """Check that no row names one of these, and that no row refers to one that is gone."""
    deadline = time.monotonic() + 3  # What ended may be saved a moment after it has ended.
    while time.monotonic() < deadline:
        with closing(sqlite3.connect(database_path(site), timeout=10)) as database:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
            tables = ("chat_conversation", "chat_message", "chat_generation")
            dump = str([database.execute(f"SELECT * FROM {t}").fetchall() for t in tables])
            running = database.execute(
                "SELECT count(*) FROM chat_generation WHERE status IN ('running', 'queued')"
            ).fetchone()
        if running == (0,):
            break
        time.sleep(0.05)
    assert running == (0,)
    for id_ in ids:
        assert id_.replace("-", "") not in dump


def delete_by_api(people, run: Running, **query) -> None:
    for conversation in run.conversations.values():
        answer = run.person.http.delete(f"/conversations/{conversation}/", params=query)
        assert answer.status_code == 204


def delete_for_good_by_api(people, run: Running) -> None:
    delete_by_api(people, run, permanently="true")


def delete_in_admin(people, run: Running) -> None:
    for conversation in run.conversations.values():
        path = f"/admin/chat/conversation/{conversation}/delete/"
        submit(people.root.browser, path, post="yes")


def delete_by_bulk_action(people, run: Running) -> None:
    data = {
        "action": "delete_selected",
        "_selected_action": list(run.conversations.values()),
        "post": "yes",
    }
    answer = people.root.browser.post("/admin/chat/conversation/", data=data)
    assert answer.status_code == 302


@pytest.mark.parametrize(
    "delete", [delete_by_api, delete_for_good_by_api, delete_in_admin, delete_by_bulk_action]
)
def test_e13_a_conversation_deleted_while_it_is_answered_ends(served, delete):
    site, people, newcomers = served
    person = next(newcomers)
    run = Running(site, person)
    generations = [*(answer["id"] for answer in run.answers.values()), run.waiting["id"]]
    with person.socket() as socket:
        for generation in generations:
            socket.send("follow", generation=generation, after=0)
        next(socket.batches(generations[0]))
        next(socket.batches(generations[1]))
        with person.follow(generations[0]) as busy, person.follow(generations[1]) as hanging:
            since = time.monotonic()
            delete(people, run)
            run.check_upstream_closed(since, "busy", "hanging")
            assert {list(stream)[-1].kind for stream in (busy, hanging)} <= ENDS | {"error"}
        for generation in generations:
            assert how_it_ended(socket, generation) in ENDS | GONE
        socket.ping()
    for generation in generations:
        assert person.http.get(f"/generations/{generation}/").status_code == 404
        assert person.poll(generation).status_code == 404
    ids = [*generations, *run.conversations.values()]
    # What can still be brought back is there, for nobody to find.
    check_nothing_is_left(site, *([] if delete is delete_by_api else ids))


def how_it_ended(socket, generation: str) -> str:
    """Return the kind of the terminal event that a socket got, or the error."""
    deadline = time.monotonic() + 5
    while True:
        try:
            for batch in socket.batches(generation, patience=0.2):
                if batch[-1].is_terminal:
                    return batch[-1].kind
        except TimeoutError:
            with suppress(TimeoutError):
                return socket.wait("error", generation=generation, patience=0.2)["code"]
            assert time.monotonic() < deadline, "Its reader is left hanging."


def test_e13_an_account_deleted_while_it_is_answered_ends(served):
    site, people, newcomers = served
    person = next(newcomers)
    run = Running(site, person)
    page = user_page(site, people.root, person.name).replace("/change/", "/delete/")
    answers = {"busy": run.answers["busy"]["id"], "quiet": run.answers["hanging"]["id"]}
    person.watches = []
    with watching(person, answers, by_session(person.session), by_key(person.key)) as watches:
        since = time.monotonic()
        submit(people.root.browser, page, post="yes")
        run.check_upstream_closed(since, "busy", "hanging")
        for watch in watches:
            watch.wait(since + 2 + LATENCY - time.monotonic())
            assert len(watch.ended) == len(watch.threads), watch.ended
            assert watch.codes()["socket"] == 4403
            assert watch.attach() == (4401, {401})
    for watch in person.watches:
        watch.close()
    ids = [answer["id"] for answer in run.answers.values()]
    check_nothing_is_left(site, *ids, run.waiting["id"], *run.conversations.values())


def test_e13_what_waited_behind_a_deleted_answer_is_answered(served):
    site, people, newcomers = served
    person = next(newcomers)
    run = Running(site, person)
    path = f"/admin/chat/generation/{run.answers['busy']['id']}/delete/"
    since = time.monotonic()
    submit(people.root.browser, path, post="yes")
    run.check_upstream_closed(since, "busy")
    assert person.ended(run.waiting)["status"] == "done"
    person.stop(run.answers["hanging"]["id"])

"""S06, S07: ends that nobody tells the process of: a session's age, and another process's doing."""

import re
import subprocess
import sys
import time

import pytest

from tests.guarantees.clients import check_log, open_socket
from tests.guarantees.quick_recheck import SECONDS
from tests.guarantees.quick_settings import SESSION_COOKIE_AGE
from tests.guarantees.readers import text_of
from tests.guarantees.sites import site_with_people
from tests.guarantees.watch import by_key, by_session, over, watching
from tests.servers import BASE_DIR
from tests.upstream import words_text

LATENCY = 1.0


@pytest.fixture(scope="module")
def served():
    settings = "tests.guarantees.quick_settings"
    with site_with_people(DJANGO_SETTINGS_MODULE=settings) as (site, people):
        yield site, people


def test_s07_a_session_that_expires_ends_what_it_has_open_and_a_new_one_resumes(served):
    site, people = served
    generation = people.ada.ask("Count.", model="openai:words:200@20")["id"]
    signed_in = time.monotonic()
    headers = by_session(site.login("ada")["sessionid"])
    seen = []
    with open_socket(site, headers=headers, origin=site.url) as socket:
        socket.send("follow", generation=generation, after=0)
        batches = socket.batches(generation)
        while time.monotonic() - signed_in < SESSION_COOKIE_AGE - 1:
            seen += next(batches)
        assert socket.close_code(patience=SESSION_COOKIE_AGE + SECONDS + LATENCY) == 4401
        assert time.monotonic() - signed_in > SESSION_COOKIE_AGE - 0.5
    with open_socket(site, headers=headers, origin=site.url) as socket:
        assert socket.close_code() == 4401
    headers = by_session(site.login("ada")["sessionid"])
    with open_socket(site, headers=headers, origin=site.url) as socket:
        socket.send("follow", generation=generation, after=seen[-1].cursor)
        for batch in socket.batches(generation):
            seen += batch
    check_log(seen)
    assert text_of(seen) == words_text(200)


def test_s06_a_password_changed_by_another_process_ends_sessions_at_the_next_look(served):
    site, people = served
    bob = people.bob
    answers = {
        "busy": bob.ask("Go on.", model="openai:infinite@20")["id"],
        "quiet": bob.ask("Wait.", model="openai:hang-after:1")["id"],
    }
    bob.watches = []
    with watching(bob, answers, by_session(bob.session), by_key(bob.key)) as (session, program):
        done = subprocess.run(
            [sys.executable, "manage.py", "changepassword", "bob"],
            cwd=BASE_DIR,
            env=site.env,
            input="battery staple 9\n" * 2,
            capture_output=True,
            text=True,
            start_new_session=True,  # Without a terminal it reads what it is given.
            timeout=60,
        )
        assert re.search("changed successfully", done.stdout), done.stderr
        assert session.attach() == (4401, {401})
        session.wait(SECONDS + 1 + LATENCY)
        assert session.codes() == over()
        assert program.lives()
    for generation in answers.values():
        bob.stop(generation)
    for watch in bob.watches:
        watch.close()

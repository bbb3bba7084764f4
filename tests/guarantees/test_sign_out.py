"""S06, S08: who may read no longer reads nothing more, by whichever door the right was taken."""

import re
import time
from uuid import uuid4

import httpx
import pytest

from tests.guarantees.clients import Person
from tests.guarantees.forms import submit
from tests.guarantees.sites import sign_up, site_with_people
from tests.guarantees.watch import Watch, by_key, by_session, over, watching
from tests.servers import DaphneSite, UvicornSite

MOMENTS = 2.0
LATENCY = 0.5  # Between a socket of this machine and the thread that looks at the clock.
PASSWORD = "battery staple 9"


@pytest.fixture(scope="module", params=["daphne-sqlite", "uvicorn-postgres"])
def served(request):
    env = {}
    if request.param == "uvicorn-postgres":
        postgres = request.getfixturevalue("postgres_server")
        env["DATABASE_URL"] = postgres.create_database(f"signout_{uuid4().hex}")
    kind = UvicornSite if env else DaphneSite
    with site_with_people(kind=kind, expect_errors=True, **env) as (site, people):
        newcomers = sign_up(site, *(f"guest{n}" for n in range(13)))
        site.people, site.newcomers = people, iter(newcomers)
        yield site
        for person in newcomers:
            person.http.close()
            person.browser.close()


@pytest.fixture
def root(served) -> Person:
    return served.people.root


@pytest.fixture
def guest(served):
    """Somebody new, with an answer being written and a quiet one."""
    person = next(served.newcomers)
    answers = {
        "busy": person.ask("Go on.", model="openai:infinite@20")["id"],
        "quiet": person.ask("Wait.", model="openai:hang-after:1")["id"],
    }
    person.answers, person.watches = answers, []
    yield person
    stop = {"action": "stop_selected", "_selected_action": list(answers.values())}
    served.people.root.browser.post("/admin/chat/generation/", data=stop)
    for watch in person.watches:
        watch.close()


def check_over(watch: Watch, since: float, code: int = 4403) -> None:
    """Check that all of it heard its last within moments, ended, and opens no more."""
    socket, statuses = watch.attach()
    assert (socket, statuses) == (4401, {401})
    watch.wait(since + MOMENTS + LATENCY - time.monotonic())
    assert watch.codes() == over(code)
    for name, heard in watch.heard.items():
        assert heard - since <= MOMENTS + LATENCY, name


def user_page(site, root: Person, name: str) -> str:
    """Return the address of a user in the admin."""
    page = root.browser.get("/admin/auth/user/", params={"q": name}).text
    return re.search(rf'href="(/admin/auth/user/\d+/change/)[^"]*">{name}<', page)[1]


def second_session(site, person: Person) -> httpx.Client:
    """Sign in anew and return that browser."""
    cookies = site.login(person.name)
    headers = {"X-CSRFToken": cookies["csrftoken"], "Origin": site.url}
    browser = httpx.Client(base_url=site.url, headers=headers, timeout=30)
    for name, value in cookies.items():  # With their domain, so that later ones replace them.
        browser.cookies.set(name, value, domain="127.0.0.1")
    return browser


def test_s06_logout_ends_that_session_and_no_other(served, guest):
    with second_session(served, guest) as browser:
        leaving = by_session(browser.cookies["sessionid"])
        sessions = (leaving, by_session(guest.session), by_key(guest.key))
        with watching(guest, guest.answers, *sessions) as (mine, other, program):
            assert browser.post("/accounts/logout/").status_code == 302
            check_over(mine, time.monotonic())
            assert other.lives()
            assert program.lives()


def test_s06_a_new_password_ends_all_sessions_but_keys(served, guest):
    with second_session(served, guest) as browser:
        form = {"old_password": "correct horse", "new_password1": PASSWORD}
        sessions = (by_session(guest.session), by_session(browser.cookies["sessionid"]))
        with watching(guest, guest.answers, *sessions, by_key(guest.key)) as watches:
            submit(browser, "/accounts/password_change/", **form, new_password2=PASSWORD)
            since = time.monotonic()
            for watch in watches[:2]:  # Who changed it goes on by a new session.
                check_over(watch, since)
            assert watches[2].lives()
        assert browser.get("/account/").status_code == 200


def test_s06_a_password_set_by_an_administrator_ends_all_sessions(served, guest, root):
    page = user_page(served, root, guest.name).replace("/change/", "/password/")
    with watching(guest, guest.answers, by_session(guest.session), by_key(guest.key)) as watches:
        submit(root.browser, page, password1=PASSWORD, password2=PASSWORD, usable_password="true")
        check_over(watches[0], time.monotonic())
        assert watches[1].lives()


def test_s06_a_deactivated_user_has_nothing_open(served, guest, root):
    page = user_page(served, root, guest.name)
    with watching(guest, guest.answers, by_session(guest.session), by_key(guest.key)) as watches:
        submit(root.browser, page, is_active=None)
        since = time.monotonic()
        for watch in watches:
            check_over(watch, since)


def test_s06_a_key_revoked_on_the_account_page_is_over(served, guest):
    page = guest.browser.get("/account/").text
    (revoke,) = re.findall(r"/account/keys/[0-9a-f-]+/revoke/", page)
    with watching(guest, guest.answers, by_key(guest.key), by_session(guest.session)) as watches:
        assert guest.browser.post(revoke).status_code == 302
        check_over(watches[0], time.monotonic())
        assert watches[1].lives()


def test_s06_a_key_revoked_in_the_admin_is_over(served, guest, root):
    page = root.browser.get("/admin/chat/apikey/", params={"q": guest.key.split("-")[1]}).text
    (key,) = re.findall(r'name="_selected_action" value="([0-9a-f-]+)"', page)
    with watching(guest, guest.answers, by_key(guest.key), by_session(guest.session)) as watches:
        answer = root.browser.post(
            "/admin/chat/apikey/", data={"action": "revoke_selected", "_selected_action": key}
        )
        assert answer.status_code == 302
        check_over(watches[0], time.monotonic())
        assert watches[1].lives()


PROMOTE = """
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
user = get_user_model().objects.get(username=NAME)
user.is_staff = True
user.save()
wanted = ["view_generation", "change_generation", "view_message"]
user.user_permissions.set(Permission.objects.filter(codename__in=wanted))
"""
LISTS = ("/admin/", "/admin/chat/generation/", "/admin/chat/message/")


@pytest.mark.parametrize(
    ("changes", "left"),
    [({"is_staff": None}, [302, 302, 302]), ({"user_permissions": None}, [200, 403, 403])],
    ids=["staff", "permissions"],
)
def test_s06_who_is_staff_no_longer_stops_no_other_answers(served, guest, root, changes, left):
    staff = next(served.newcomers)
    served.manage("shell", "-v0", "-c", f"NAME = {staff.name!r}\n{PROMOTE}")
    detail = f"/admin/chat/generation/{guest.answers['busy']}/change/"
    stop = {"action": "stop_selected", "_selected_action": guest.answers["busy"]}
    assert [staff.browser.get(path).status_code for path in (*LISTS, detail)] == [200] * 4
    submit(root.browser, user_page(served, root, staff.name), **changes)
    assert [staff.browser.get(path).status_code for path in LISTS] == left
    assert staff.browser.get(detail).status_code == left[1]
    assert staff.browser.post(LISTS[1], data=stop).status_code == left[1]
    assert guest.generation(guest.answers["busy"])["status"] == "running"
    assert root.browser.post(LISTS[1], data=stop).status_code == 302
    assert guest.generation(guest.answers["busy"])["status"] == "stopped"


def test_s08_signing_in_gives_a_new_session_and_ends_the_old_one(served, guest):
    other = next(served.newcomers)
    with second_session(served, guest) as browser:
        old = browser.cookies["sessionid"]
        with watching(guest, guest.answers, by_session(old), by_session(guest.session)) as watches:
            form = {"username": other.name, "password": "correct horse"}
            submit(browser, "/accounts/login/", **form)
            check_over(watches[0], time.monotonic())
            assert watches[1].lives()
        assert browser.cookies["sessionid"] not in {old, guest.session}
        assert browser.get("/account/").status_code == 200


def test_s08_a_session_known_before_signing_in_is_worth_nothing(served, guest):
    planted = "p" * 32
    with httpx.Client(base_url=served.url, cookies={"sessionid": planted}) as browser:
        token = browser.get("/accounts/login/").cookies["csrftoken"]
        form = {"username": guest.name, "password": "correct horse", "csrfmiddlewaretoken": token}
        answer = browser.post("/accounts/login/", data=form)
        assert answer.cookies["sessionid"] != planted
    watch = Watch(served, by_session(planted), **guest.answers)
    assert watch.attach() == (4401, {401})
    watch.http.close()

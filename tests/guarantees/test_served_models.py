"""What staff change about models in one process is in force in the others, at once."""

import re
import time

import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import People, two_processes
from tests.upstream import words_text

ADMIN = "/admin/chat/servedmodel/"
SOON = 2.0  # Without being told, a process looks after five seconds.
SAID = "Said by the answerer"
JOIN = (
    "from django.contrib.auth.models import Group, User; "
    "User.objects.get(username='ada').groups.add(Group.objects.create(name='makers'))"
)


@pytest.fixture(scope="module")
def two_sites(postgres_server):
    titles = {"CHAT_TITLES": "on", "CHAT_TITLE_MODEL": "namer"}
    with two_processes(postgres_server, "served_models", **titles) as sites:
        yield sites


@pytest.fixture(scope="module")
def staff(two_sites):
    people = People(two_sites[0])
    two_sites[0].run(JOIN)
    yield people
    people.close()


@pytest.fixture(scope="module")
def elsewhere(two_sites, staff):
    """The same people, in the other process."""
    same = [
        Person(two_sites[1], name=person.name, key=person.key, session=person.session)
        for person in (staff.ada, staff.bob)
    ]
    yield same
    for person in same:
        person.http.close()


def save(root, name, *, pk=None, **fields):
    """Fill in the form of a model in the admin, and send it."""
    path = f"{ADMIN}{pk}/change/" if pk else f"{ADMIN}add/"
    data = {"name": name, "provider": "openai", "place": "0", "is_on": "on"} | fields
    answer = root.browser.post(path, data=data)
    assert answer.status_code == 302, re.findall(r"errorlist[^>]*>.*?</ul>", answer.text, re.DOTALL)


def pk_of(root, name):
    page = root.browser.get(ADMIN, params={"q": name}).text
    found = re.search(rf'servedmodel/([^/"]+)/change/[^>]*>{name}<', page)
    assert found, page
    return found[1]


def group_of(root):
    form = root.browser.get(f"{ADMIN}add/").text
    found = re.search(r'<option value="(\d+)"[^>]*>makers<', form)
    assert found
    return found[1]


def listed(person):
    return person.http.get("/models/").raise_for_status().json()["items"]


def names(person):
    return {each["name"] for each in listed(person)}


def labels(person):
    return {each["label"] for each in listed(person)}


def title_at(person, path):
    return person.http.get(path).raise_for_status().json()["title"]


def soon(is_so):
    deadline = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_model_is_there_changed_and_gone_in_the_other_process_too(two_sites, staff, elsewhere):
    ada, bob = elsewhere
    root, upstream = staff.root, two_sites[0].upstream
    names(ada)  # Known from now on for seconds, if nobody says otherwise.
    mine = {"groups": group_of(root), "base_url": upstream.base_url}
    save(root, "fast", model="words:3", new_key="sk-own-1", **mine)
    soon(lambda: "fast" in names(ada))
    assert "fast" not in names(bob)
    assert ada.saved_text(ada.ended(ada.ask("One", model="fast"))) == words_text(3)
    pk = pk_of(root, "fast")
    save(root, "fast", pk=pk, model="words:4", label="Faster", **mine)
    soon(lambda: "Faster" in labels(ada))
    assert ada.saved_text(ada.ended(ada.ask("Two", model="fast"))) == words_text(4)
    save(root, "fast", pk=pk, is_on="", **mine)
    soon(lambda: "fast" not in names(ada))
    refused = ada.post("Three", model="fast")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "unknown_model")


def test_who_may_not_use_the_model_for_titles_has_theirs_from_the_answers(
    two_sites, staff, elsewhere
):
    ada, bob = elsewhere
    root, upstream = staff.root, two_sites[0].upstream
    mine = {"groups": group_of(root), "base_url": upstream.base_url}
    save(root, "namer", model="text:Named by the namer", **mine)
    soon(lambda: "namer" in names(ada))
    for person, title in ((ada, "Named by the namer"), (bob, SAID)):
        conversation = person.conversation()
        person.ended(person.ask("Hi", conversation=conversation, model=f"openai:text:{SAID}"))
        path = f"/conversations/{conversation}/"
        soon(lambda person=person, path=path, title=title: title_at(person, path) == title)

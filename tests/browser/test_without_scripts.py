"""The pages as they are where no script runs, on a phone: axe on each, in both colours."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.accessible import faults_of, is_too_wide
from tests.browser.axe import violations
from tests.guarantees.clients import Person
from tests.guarantees.sites import sign_up
from tests.servers import Site

PHONE = {"width": 390, "height": 800}
# axe looks past what stands in these elements.
UNWRAP = """() => document.querySelectorAll("noscript")
  .forEach((each) => each.replaceWith(...each.childNodes))"""


class Plain:
    """A tab in which the site's scripts have not run. Those that check a page come after."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._devtools: CDPSession = page.context.new_cdp_session(page)

    def open(self, address: str) -> Page:
        self._let_scripts_run(False)
        self.page.goto(address)
        self._let_scripts_run(True)
        assert self.page.evaluate("document.documentElement.dataset.theme") is None
        self.page.evaluate(UNWRAP)
        return self.page

    def _let_scripts_run(self, allowed: bool) -> None:
        self._devtools.send("Emulation.setScriptExecutionDisabled", {"value": not allowed})


@pytest.fixture(scope="module")
def ada(live_site: Site) -> Iterator[Person]:
    (ada,) = sign_up(live_site, "ada")
    yield ada
    ada.http.close()


@pytest.fixture(scope="module")
def addresses(live_site: Site, ada: Person) -> dict[str, str]:
    """Where each page is, of a conversation with answers and of what was made from it."""
    live_site.upstream.script("markdown", "error-after:2", "words:3")
    conversation, answers = ada.conversation(), []
    for prompt in ("Write a table", "Fail", "And then?"):
        generation = ada.ask(prompt, conversation=conversation)
        ada.streamed(generation["id"])
        answers.append(generation)
    first, trace = answers[0]["message"], answers[0]["id"]
    prompted = ada.messages(conversation)[0]["id"]
    rating = {"value": -1, "reasons": ["incorrect"], "comment": "No"}
    ada.http.put(f"/messages/{first}/rating/", json=rating).raise_for_status()
    path = f"/conversations/{conversation}"
    share = ada.http.post(f"{path}/shares/", json={}).raise_for_status().json()
    ada.http.patch(f"{path}/", json={"tags": ["trip"], "pinned": True}).raise_for_status()
    archived = ada.http.post("/conversations/", json={"title": "Old"}).json()["id"]
    ada.http.patch(f"/conversations/{archived}/", json={"archived": True}).raise_for_status()
    persona = {"name": "Keats", "system_prompt": "Rhyme.", "starters": ["Sing of tea"]}
    persona = ada.http.post("/personas/", json=persona).raise_for_status().json()["id"]
    return {
        "empty": "/",
        "chat": f"/c/{conversation}/",
        "embedded": f"/embed/{conversation}/",
        "options": f"/c/{conversation}/options/",
        "archived": "/archived/",
        "share": share["url"],
        "settings": "/settings/",
        "account": "/account/",
        "personas": "/personas/",
        "new persona": "/personas/new/",
        "persona": f"/personas/{persona}/",
        "begin with a persona": f"/?persona={persona}",
        "rating": f"/m/{first}/rating/",
        "about": f"/m/{first}/about/",
        "again": f"/m/{first}/again/",
        "edit": f"/m/{prompted}/edit/",
        "trace": f"/g/{trace}/",
    }


NAMES = (
    "empty", "chat", "embedded", "options", "archived", "share", "settings", "account", "personas",
    "new persona", "persona", "begin with a persona", "rating", "about", "again", "edit", "trace",
)  # fmt: skip


@pytest.fixture(scope="module", params=["light", "dark"])
def open_plain(
    request: pytest.FixtureRequest, chromium: Browser, live_site: Site, ada: Person
) -> Iterator[Callable[[str], Page]]:
    """Opens a page of ada's."""
    context = chromium.new_context(
        base_url=live_site.url, viewport=PHONE, color_scheme=request.param
    )
    context.add_cookies([{"name": "sessionid", "value": ada.session, "url": live_site.url}])
    yield Plain(context.new_page()).open
    context.close()


def check(page: Page) -> None:
    assert violations(page) == []
    assert faults_of(page) == []
    assert not is_too_wide(page)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_without_scripts_is_accessible_and_fits_a_phone(
    open_plain: Callable[[str], Page], addresses: dict[str, str], name: str
) -> None:
    page = open_plain(addresses[name])
    check(page)
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert not is_too_wide(page)
    for code in page.locator(".prose pre").all():
        expect(code).to_have_css("direction", "ltr")


@pytest.mark.parametrize("colour", ["light", "dark"])
def test_signing_in_without_scripts_is_accessible(
    chromium: Browser, live_site: Site, colour: str
) -> None:
    context = chromium.new_context(base_url=live_site.url, viewport=PHONE, color_scheme=colour)
    page = Plain(context.new_page()).open("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    check(page)
    context.close()

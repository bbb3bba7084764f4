"""The chat by keyboard and by screen reader; axe on every state, in both colours."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import sign_in
from tests.browser.test_chat import WATCH, ask, text_of, wait_for_end, wait_until_writing
from tests.servers import Site
from tests.upstream.modes import words_text

LINK = re.compile(r"http://\S+/setup/\S+/")
Visit = Callable[..., Page]


def empty(page: Page, site: Site) -> None:
    page.goto("/")


def streaming(page: Page, site: Site) -> None:
    site.upstream.script("words:400@40")
    page.goto("/")
    ask(page)
    wait_until_writing(page)


def queued(page: Page, site: Site) -> None:
    streaming(page, site)
    ask(page, "And then?")
    expect(page.locator(".phase-text").nth(1)).to_have_text("Queued, next")


def finished(page: Page, site: Site) -> None:
    site.upstream.script("markdown")
    page.goto("/")
    ask(page)
    wait_for_end(page)


def failed(page: Page, site: Site) -> None:
    site.upstream.script("status:401")
    page.goto("/")
    ask(page)
    expect(page.locator(".message-error")).to_be_visible()


def found(page: Page, site: Site) -> None:
    page.goto("/")
    page.get_by_label("Search conversations").fill("question")
    expect(page.locator("#found")).to_be_visible()


def menu(page: Page, site: Site) -> None:
    finished(page, site)
    page.locator("#topbar-more").click()
    expect(page.get_by_role("menu")).to_be_visible()


def settings(page: Page, site: Site) -> None:
    page.goto("/")
    page.locator("#open-preferences").click()
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


def shortcuts(page: Page, site: Site) -> None:
    page.goto("/")
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()


def options(page: Page, site: Site) -> None:
    finished(page, site)
    page.goto(str(page.locator("#topbar-more").get_attribute("href")))


def trace(page: Page, site: Site) -> None:
    finished(page, site)
    page.locator(".facts .trace-link").click()
    expect(page.locator(".step-row")).not_to_have_count(0)


def share(page: Page, site: Site) -> None:
    finished(page, site)
    page.goto(str(page.locator("#topbar-more").get_attribute("href")))
    page.get_by_role("button", name="Make a link").click()
    page.goto(page.locator(".link-address").first.input_value())
    expect(page.get_by_role("table")).to_be_visible()


def archived(page: Page, site: Site) -> None:
    options(page, site)
    page.get_by_role("button", name="Archive", exact=True).click()
    page.goto("/archived/")
    expect(page.get_by_role("button", name=re.compile("Unarchive")).first).to_be_visible()


def sign_in_page(page: Page, site: Site) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Password").fill("wrong")
    page.get_by_label("Username").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.get_by_text("correct username")).to_be_visible()


def admin_index(page: Page, site: Site) -> None:
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Conversations")).to_be_visible()


def at(address: str) -> Callable[[Page, Site], None]:
    def go(page: Page, site: Site) -> None:
        page.goto(address)

    go.__name__ = address
    return go


STATES = [empty, streaming, queued, finished, failed, found, menu, settings, shortcuts, options]
STATES += [
    trace,
    share,
    archived,
    at("/account/"),
    at("/settings/"),
    at("/?temporary=1"),
    at("/nowhere"),
]


@pytest.fixture(scope="module", params=["light", "dark"])
def tab(request, chromium: Browser, live_site: Site, account: None) -> Iterator[Page]:
    context = chromium.new_context(base_url=live_site.url, color_scheme=request.param)
    sign_in(context, live_site)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_nothing(tab: Page, live_site: Site, state: Callable[[Page, Site], None]) -> None:
    live_site.upstream.reset()
    state(tab, live_site)
    tab.mouse.move(0, 0)
    assert violations(tab) == []


@pytest.fixture(params=["light", "dark"])
def visit(request, chromium: Browser, live_site: Site, account: None) -> Iterator[Visit]:
    """Opens a page for somebody else: signed out, or of the staff."""
    contexts: list[BrowserContext] = []

    def open_page(username: str = "") -> Page:
        context = chromium.new_context(base_url=live_site.url, color_scheme=request.param)
        contexts.append(context)
        if username:
            sign_in(context, live_site, username)
        return context.new_page()

    live_site.upstream.reset()
    yield open_page
    for context in contexts:
        context.close()


def test_axe_finds_nothing_when_somebody_signs_in(visit: Visit, live_site: Site) -> None:
    tab = visit()
    tab.goto("/")
    assert violations(tab) == []
    sign_in_page(tab, live_site)
    assert violations(tab) == []


def test_axe_finds_nothing_in_the_index_of_the_admin(
    visit: Visit, live_site: Site, staff: None
) -> None:
    tab = visit("grace")
    admin_index(tab, live_site)
    assert violations(tab) == []


def test_axe_finds_nothing_where_the_first_account_is_made(
    visit: Visit, site_factory: Callable[..., Site]
) -> None:
    site = site_factory()
    tab = visit()
    tab.goto(LINK.findall(site.output)[0])
    expect(tab.get_by_label("Password", exact=True)).to_be_visible()
    assert violations(tab) == []


@pytest.fixture(scope="module")
def staff(live_site: Site) -> None:
    live_site.create_user("grace", staff=True)


@pytest.mark.parametrize("state", [empty, finished, settings], ids=lambda state: state.__name__)
def test_at_200_percent_nothing_is_lost(
    tab: Page, live_site: Site, state: Callable[[Page, Site], None]
) -> None:
    size = tab.viewport_size
    tab.set_viewport_size({"width": 320, "height": 640})
    live_site.upstream.reset()
    state_at_320 = finished if state is finished else empty
    state_at_320(tab, live_site)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert violations(tab) == []
    assert size
    tab.set_viewport_size(size)


def test_a_conversation_is_held_by_keys_alone(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:300@40", "markdown")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("First")
    page.keyboard.press("Enter")
    wait_until_writing(page)
    page.keyboard.press("Escape")
    expect(page.locator(".facts")).to_contain_text("Stopped")
    page.keyboard.type("Second")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble")).to_have_count(2)
    wait_for_end(page)
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".message").last).to_be_focused()
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".message.user").last).to_be_focused()
    page.keyboard.press("Shift+Escape")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Control+.")
    dialog = page.get_by_role("dialog", name="Settings")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.keyboard.press("Control+Shift+O")
    expect(page).to_have_url(re.compile("/$"))


def test_the_list_of_keys_names_each_and_is_not_for_who_types(page: Page) -> None:
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("Why?")
    expect(page.locator("#prompt")).to_have_value("Why?")
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    for label in ("new chat", "stop the answer", "copy the last answer", "settings", "this list"):
        expect(dialog.get_by_text(label, exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_keys_can_be_switched_off(page: Page) -> None:
    choose(page, keys=False)
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    choose(page, keys=True)
    page.locator("#scroller").focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(1)


def test_sentences_are_told_one_by_one_without_their_marks(page: Page, live_site: Site) -> None:
    choose(page, announce="sentence")
    live_site.upstream.script(
        [
            {"delta": "The **first** one. The [second](http://a.example) one! "},
            {"delta": "\n\n```python\nx = 1. \n```\n\nThe"},
            {"delta": " `last`."},
            {"finish": "stop"},
            {"done": True},
        ]
    )
    page.evaluate(PIECES)
    ask(page)
    wait_for_end(page)
    page.wait_for_function("pieces.length >= 4")
    told = ["The first one.", "The second one!", "A block of code.", "The last."]
    assert page.evaluate("pieces") == told
    expect(page.locator("#announcer")).to_be_empty()
    choose(page, announce="off")
    live_site.upstream.script("words:5")
    page.evaluate(WATCH)
    ask(page)
    expect(page.locator(".message.assistant")).to_have_count(2)
    wait_for_end(page)
    assert page.evaluate("news") == []
    choose(page, announce="end")


PIECES = """() => {
  window.pieces = [];
  new MutationObserver((changes) => changes.flatMap((change) => [...change.addedNodes])
    .forEach((node) => node.nodeName === "P" && pieces.push(node.textContent)))
    .observe(document.getElementById("announcer"), { childList: true });
}"""


def test_answers_can_be_shown_when_they_are_complete(page: Page, live_site: Site) -> None:
    choose(page, whole=True)
    live_site.upstream.script("words:60@40")
    page.evaluate(
        """() => {
          window.shown = new Set();
          new MutationObserver(() => {
            const text = document.querySelector(".message.assistant .answer")?.textContent.trim();
            if (text) shown.add(text);
          }).observe(document.getElementById("transcript"), { childList: true, subtree: true });
        }"""
    )
    ask(page)
    expect(page.locator(".phase-text")).to_have_text("Writing")
    wait_for_end(page)
    assert page.evaluate("[...shown]") == [words_text(60).strip()]
    choose(page, whole=False)


def test_what_is_chosen_is_kept_for_the_person(page: Page, chromium: Browser, live_site) -> None:
    choose(page, announce="paragraph", sound=True)
    with chromium.new_context(base_url=live_site.url) as other:
        sign_in(other, live_site)
        elsewhere = other.new_page()
        elsewhere.goto("/account/")
        expect(elsewhere.get_by_label("screen reader")).to_have_value("paragraph")
        expect(elsewhere.get_by_label("sound")).to_be_checked()
    choose(page, announce="end", sound=False)


def test_a_streaming_turn_as_a_screen_reader_has_it(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:400@40")
    ask(page, "A question")
    wait_until_writing(page)
    expect(page.get_by_role("feed", name="Conversation")).to_match_aria_snapshot(
        """
        - feed "Conversation":
          - article "You said":
            - heading "You said" [level=2]
            - text: A question
            - button "Copy"
          - article "Assistant said":
            - heading "Assistant said" [level=2]
            - paragraph: /word0/
        """
    )
    page.keyboard.press("Escape")


def test_from_right_to_left_the_layout_is_mirrored(page: Page, live_site: Site) -> None:
    live_site.upstream.script("markdown")
    ask(page)
    wait_for_end(page)
    before = {name: edges(page, name) for name in ("#sidebar", ".bubble", "#send")}
    page.evaluate("document.documentElement.dir = 'rtl'")
    width = page.evaluate("innerWidth")
    for name, (left, right) in before.items():
        mirrored = edges(page, name)
        assert mirrored[0] == pytest.approx(width - right, abs=2), name
        assert mirrored[1] == pytest.approx(width - left, abs=2), name
    assert text_of(page)


def edges(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box
    return box["x"], box["x"] + box["width"]


def choose(page: Page, **values: bool | str) -> None:
    """Choose in the dialog of settings, and save."""
    page.locator("#open-preferences").click()
    dialog = page.get_by_role("dialog", name="Settings")
    for name, value in values.items():
        field = dialog.locator(f"[name={name}]")
        if isinstance(value, bool):
            field.set_checked(value)
        else:
            field.select_option(value)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()

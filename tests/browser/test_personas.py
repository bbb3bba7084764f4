"""Personas in a real browser: chosen by keys, begun with, pinned while edited; on a phone."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.accessible import is_too_wide
from tests.browser.axe import violations
from tests.browser.conftest import keeps, sign_in
from tests.browser.test_chat import answer_of, ask, wait_for_end
from tests.browser.test_models import SEARCH, choose, picker
from tests.servers import DaphneSite, Site


@pytest.fixture(scope="module")
def live_site() -> Iterator[DaphneSite]:
    with DaphneSite(env={"CHAT_TITLES": "off"}) as site:
        yield site


def make(page: Page, name: str, prompt: str = "Rhyme.", **more: str) -> str:
    """Make a persona by the form, and return the address of its page."""
    page.goto("/personas/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Description").fill("Answers in verse")
    page.get_by_label("System prompt").fill(prompt)
    page.get_by_label("Example prompts").fill("Sing of tea\nSing of rain")
    for label, value in more.items():
        page.get_by_label(label.capitalize(), exact=True).fill(value)
    page.get_by_role("button", name="Make it").click()
    link = page.get_by_role("link", name=name, exact=True).first
    return str(link.get_attribute("href"))


def told(site: Site) -> tuple[str, str]:
    body = site.upstream.journal[-1]["body"]
    return body["model"], body["messages"][0]["content"]


def test_one_is_chosen_by_keys_shows_what_to_ask_and_stays_while_it_is_edited(
    page: Page, live_site: Site
) -> None:
    live_site.upstream.script("words:2", "words:2", "words:2")
    address = make(page, "Keats", model="openai:verse", temperature="1.5")
    page.goto("/")
    picker(page).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("option", name=re.compile("Keats"))).to_be_visible()
    expect(page.get_by_label(SEARCH)).to_be_focused()
    page.keyboard.type("Keats")
    page.keyboard.press("Enter")
    expect(picker(page)).to_be_focused()
    expect(picker(page)).to_have_accessible_name(re.compile("Keats · openai:verse"))
    expect(page.locator("#empty-description")).to_have_text("Answers in verse")
    page.get_by_role("button", name="Sing of rain").click()
    expect(page.get_by_label("Your message")).to_have_value("Sing of rain")
    page.keyboard.press("Enter")
    wait_for_end(page)
    assert told(live_site) == ("verse", "Rhyme.")
    assert live_site.upstream.journal[-1]["body"]["temperature"] == 1.5
    here = page.url
    page.goto(address)
    page.get_by_label("System prompt").fill("Sing.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as version 2.")).to_be_visible()
    page.goto(here)
    expect(picker(page)).to_contain_text("Keats · openai:verse")
    expect(page.locator("#newer-persona")).to_contain_text("has a newer version, 2")
    assert violations(page) == []
    ask(page, "Go on")
    wait_for_end(page)
    assert told(live_site) == ("verse", "Rhyme.")
    page.get_by_role("button", name="Use the newer one").click()
    expect(page.locator("#newer-persona")).to_have_count(0)
    ask(page, "And now")
    wait_for_end(page)
    assert told(live_site) == ("verse", "Sing.")


def test_it_is_left_and_another_is_taken_in_a_conversation(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2", "words:2", "words:2")
    make(page, "Byron", "Ride.")
    page.goto("/")
    page.locator("#open-preferences").click()
    page.get_by_role("dialog").get_by_role("link", name="Make and edit personas").click()
    expect(page.get_by_role("link", name="Byron", exact=True)).to_be_visible()
    page.goto("/")
    usual = page.locator("#examples").inner_text()
    picker(page).click()
    page.get_by_role("option", name=re.compile("Byron")).click()
    expect(page.locator("#empty-title")).to_have_text("Byron")
    choose(page, "No persona")
    expect(page.locator("#empty-title")).to_have_text("What would you like to know?")
    assert page.locator("#examples").inner_text() == usual
    ask(page, "Plain")
    wait_for_end(page)
    expect(page).to_have_url(re.compile("/c/"))
    for name, prompt in (("Byron", "Ride."), ("No persona", None)):
        with page.expect_response(keeps("persona")) as kept:
            choose(page, name)
        assert kept.value.ok
        ask(page, "Next")
        wait_for_end(page)
        assert (told(live_site)[1] == "Ride.") == (prompt is not None)
    page.reload()
    expect(picker(page)).not_to_contain_text("Byron")


def test_the_parameters_of_a_conversation_are_saved_as_one(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2")
    ask(page, "First")
    wait_for_end(page)
    page.locator("#topbar-more").click()
    page.get_by_role("menuitem", name="Model parameters").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("System prompt").fill("Whisper.")
    dialog.locator("summary").click()
    dialog.get_by_label("Name of the persona").fill("Shelley")
    assert violations(page) == []
    dialog.get_by_role("button", name="Save as a persona").click()
    expect(dialog.get_by_text("“Shelley” is among your personas now.")).to_be_visible()
    page.keyboard.press("Escape")
    picker(page).click()
    expect(page.get_by_role("option", name=re.compile("Shelley"))).to_be_visible()


def test_without_a_script_all_is_done_by_forms(
    chromium: Browser, live_site: Site, account: None
) -> None:
    live_site.upstream.reset()
    live_site.upstream.script("words:2", "words:2")
    context: BrowserContext = chromium.new_context(
        base_url=live_site.url, java_script_enabled=False
    )
    sign_in(context, live_site)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("link", name="Personas").click()
    make(page, "Blake", "Burn.")
    page.get_by_role("link", name="Start a chat with Blake").click()
    expect(page.get_by_text("Sing of tea")).to_be_visible()
    page.get_by_label("Your message").fill("Tyger")
    page.get_by_role("button", name="Send").click()
    expect(answer_of(page)).to_contain_text("word1")
    assert told(live_site)[1] == "Burn."
    page.locator("#persona").select_option("")
    page.get_by_label("Your message").fill("Plain")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.assistant .answer").last).to_contain_text("word1")
    assert told(live_site)[1] != "Burn."
    context.close()


@pytest.mark.parametrize("colour", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_pages_are_accessible_and_fit(
    chromium: Browser, live_site: Site, account: None, width: int, colour: str
) -> None:
    context = chromium.new_context(
        base_url=live_site.url, viewport={"width": width, "height": 800}, color_scheme=colour
    )
    sign_in(context, live_site)
    page = context.new_page()
    address = make(page, f"Poet {width} {colour}", model="openai:verse")
    key = address.strip("/").rpartition("/")[2]

    def look(name: str, faults: Callable[[Page], list[str]] = violations) -> None:
        assert faults(page) == [], name
        assert not is_too_wide(page), name

    for name, where in (
        ("list", "/personas/"), ("new", "/personas/new/"), ("edit", address),
        ("version", f"{address}1/"), ("empty", f"/?persona={key}"),
    ):  # fmt: skip
        page.goto(where)
        look(name)
    picker(page).click()
    expect(page.get_by_role("option").filter(has_text="Poet").first).to_be_visible()
    look("picker")
    context.close()

"""The composer in a real browser: the prompts that wait, and what was typed and not sent."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_chat import ask, wait_for_end, wait_until_writing
from tests.servers import Site

LONG = "words:400@40"
FIELD = "Your message"


def rows(page: Page) -> Locator:
    return page.locator("#rail .queued-text")


def row(page: Page, text: str) -> Locator:
    return page.locator(".queued", has_text=text)


def queue(page: Page, site: Site, *texts: str, after: tuple[str, ...] = ()) -> None:
    """Have an answer written, and prompts that wait for its end."""
    site.upstream.script(LONG, *(after or ["words:2"] * len(texts)))
    ask(page, "First")
    wait_until_writing(page)
    for number, text in enumerate(texts, 1):
        ask(page, text)
        expect(rows(page)).to_have_count(number)


def asked(site: Site) -> list[str]:
    return [entry["body"]["messages"][-1]["content"] for entry in site.upstream.journal]


def stop(page: Page) -> None:
    page.keyboard.press("Escape")


def test_what_waits_stands_in_the_rail_of_every_tab_and_not_among_the_messages(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    queue(page, live_site, "Second", "Third")
    expect(page.locator(".bubble:visible")).to_have_text(["First"])
    other = context.new_page()
    other.goto(page.url)
    expect(rows(other)).to_have_text(["Second", "Third"])
    expect(other.locator(".bubble:visible")).to_have_text(["First"])
    row(other, "Second").get_by_role("button", name="Remove").click()
    expect(rows(page)).to_have_text(["Third"])
    stop(page)
    wait_for_end(page)
    expect(page.locator("#rail")).to_be_hidden()
    expect(other.locator(".bubble:visible")).to_have_text(["First", "Third"])
    wait_for_end(other)
    expect(page.locator(".bubble:visible")).to_have_text(["First", "Third"])
    page.reload()
    expect(page.locator(".bubble:visible")).to_have_text(["First", "Third"])
    assert asked(live_site) == ["First", "Third"]


def test_the_keyboard_moves_a_prompt_and_says_its_place(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    queue(page, live_site, "Second", "Third", "Fourth")
    other = context.new_page()
    other.goto(page.url)
    grip = row(page, "Fourth").locator(".queued-grip")
    grip.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(rows(page)).to_have_text(["Fourth", "Second", "Third"])
    expect(page.locator("#announcer")).to_have_text("Place 1 of 3")
    expect(grip).to_be_focused()
    expect(grip).to_have_accessible_name("Move: Fourth, 1 of 3")
    expect(rows(other)).to_have_text(["Fourth", "Second", "Third"])
    page.get_by_label(FIELD).focus()
    stop(page)
    wait_for_end(page)
    expect(page.locator(".bubble:visible")).to_have_text(["First", "Fourth", "Second", "Third"])
    assert asked(live_site) == ["First", "Fourth", "Second", "Third"]
    page.reload()
    expect(page.locator(".bubble:visible")).to_have_text(["First", "Fourth", "Second", "Third"])


def test_a_prompt_is_dragged_to_another_place(page: Page, live_site: Site) -> None:
    queue(page, live_site, "Second", "Third", "Fourth")
    start = row(page, "Second").locator(".queued-grip").bounding_box()
    end = row(page, "Fourth").bounding_box()
    assert start
    assert end
    page.mouse.move(start["x"] + 5, start["y"] + 5)
    page.mouse.down()
    page.mouse.move(start["x"] + 5, end["y"] + end["height"] - 2, steps=6)
    expect(page.locator(".queued.dragged")).to_have_count(1)
    page.mouse.up()
    expect(rows(page)).to_have_text(["Third", "Fourth", "Second"])
    page.reload()
    expect(rows(page)).to_have_text(["Third", "Fourth", "Second"])
    stop(page)
    wait_for_end(page)
    assert asked(live_site) == ["First", "Third", "Fourth", "Second"]


def test_the_pencil_takes_a_prompt_back_and_loses_nothing_of_what_is_typed(
    page: Page, live_site: Site
) -> None:
    queue(page, live_site, "Second", "Third")
    page.get_by_label(FIELD).fill("half a thought")
    row(page, "Second").get_by_role("button", name="Edit").click()
    expect(page.get_by_label(FIELD)).to_have_value("Second\n\nhalf a thought")
    expect(page.get_by_label(FIELD)).to_be_focused()
    expect(rows(page)).to_have_text(["Third"])
    page.get_by_label(FIELD).fill("")
    stop(page)
    wait_for_end(page)
    assert asked(live_site) == ["First", "Third"]


def test_send_now_stops_the_answer_and_is_asked_next(page: Page, live_site: Site) -> None:
    queue(page, live_site, "Second", "Third", after=("words:5", "words:3"))
    row(page, "Third").get_by_role("button", name="Send now").click()
    wait_for_end(page)
    expect(page.locator(".bubble:visible")).to_have_text(["First", "Third", "Second"])
    expect(page.locator(".facts").first).to_contain_text("Stopped")
    assert asked(live_site) == ["First", "Third", "Second"]


def test_what_was_removed_comes_back_by_the_notice(page: Page, live_site: Site) -> None:
    queue(page, live_site, "Second")
    row(page, "Second").get_by_role("button", name="Remove").click()
    expect(page.locator("#rail")).to_be_hidden()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label(FIELD)).to_have_value("Second")


def test_drafts_are_kept_for_each_conversation(page: Page, live_site: Site) -> None:
    field = page.get_by_label(FIELD)
    live_site.upstream.script("words:2")
    ask(page, "First")
    wait_for_end(page)
    field.fill("about this one")
    page.get_by_role("link", name="New chat").first.click()
    expect(page).to_have_url(re.compile("/$"))
    expect(field).to_have_value("")
    field.fill("about another")
    page.go_back()
    expect(field).to_have_value("about this one")
    page.reload()
    expect(field).to_have_value("about this one")
    live_site.upstream.script("words:2")
    field.press("Enter")
    wait_for_end(page)
    page.reload()
    expect(field).to_have_value("")
    page.goto("/")
    expect(field).to_have_value("about another")
    field.fill("")


def test_a_tab_does_not_write_over_what_another_typed_later(
    page: Page, context: BrowserContext
) -> None:
    page.get_by_label(FIELD).fill("early")
    other = context.new_page()
    other.goto("/")
    expect(other.get_by_label(FIELD)).to_have_value("early")
    other.get_by_label(FIELD).fill("early and later")
    page.reload()
    expect(page.get_by_label(FIELD)).to_have_value("early and later")
    page.get_by_label(FIELD).fill("")
    assert page.evaluate("Object.keys(localStorage).filter(k => k.startsWith('draft:'))") == []


def test_without_a_script_what_waits_is_shown_with_its_place_and_can_be_removed(
    page: Page, chromium: Browser, live_site: Site
) -> None:
    queue(page, live_site, "Second", "Third")
    plain = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(plain, live_site)
    without = plain.new_page()
    without.goto(page.url)
    expect(without.get_by_text("Queued, number 2")).to_be_visible()
    without.get_by_role("button", name="Remove from the queue").last.click()
    expect(without.get_by_text("Queued, number 1")).to_be_visible()
    expect(without.get_by_text("Queued, number 2")).to_have_count(0)
    expect(without.locator(".bubble")).to_have_text(["First", "Second"])
    expect(rows(page)).to_have_text(["Second"])
    plain.close()
    stop(page)
    wait_for_end(page)


@pytest.fixture
def restored(live_site: Site) -> Iterator[None]:
    """The tests of a module share an account: leave it as it was."""
    yield
    reset = "from chat.models import Preferences; Preferences.objects.update(ctrl_enter=False)"
    live_site.run(reset)


def prefer_ctrl_enter(page: Page) -> None:
    page.locator("#open-preferences").click()
    dialog = page.locator("#preferences-dialog")
    dialog.get_by_label("Ctrl+Enter sends, Enter makes a new line").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()


def keys_of(page: Page, label: str) -> list[str]:
    """Return the keys that the list of shortcuts gives for something."""
    page.locator("body").press("?")
    row = page.locator("#shortcuts dd", has_text=re.compile(f"^{label}$"))
    found = row.locator("xpath=preceding-sibling::dt[1]").locator("kbd").all_inner_texts()
    page.keyboard.press("Escape")
    return found


@pytest.mark.usefixtures("restored")
def test_who_prefers_it_sends_by_ctrl_enter(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2", LONG, "words:2")
    field = page.get_by_label(FIELD)
    hint = page.locator("#composer-hint")
    expect(hint).to_have_text("Enter to send, Shift+Enter for a new line")
    page.evaluate("document.activeElement.blur()")
    assert keys_of(page, "send") == ["Enter"]
    prefer_ctrl_enter(page)
    expect(hint).to_have_text("Ctrl+Enter to send, Enter for a new line")
    expect(field).to_have_attribute("enterkeyhint", "enter")
    page.evaluate("document.activeElement.blur()")
    assert keys_of(page, "send") == ["Ctrl", "Enter"]
    assert keys_of(page, "a new line") == ["Enter"]
    field.press_sequentially("One")
    field.press("Enter")
    field.press_sequentially("two")
    expect(field).to_have_value("One\ntwo")
    assert asked(live_site) == []
    field.press("Control+Enter")
    wait_for_end(page)
    assert asked(live_site) == ["One\ntwo"]
    page.reload()  # It is kept, and the server says the same words.
    expect(hint).to_have_text("Ctrl+Enter to send, Enter for a new line")
    field.fill("Three")
    field.press("Meta+Enter")
    wait_until_writing(page)
    expect(hint).to_have_text("Esc to stop, Ctrl+Enter to send next")
    stop(page)
    wait_for_end(page)
    assert asked(live_site) == ["One\ntwo", "Three"]


@pytest.mark.usefixtures("restored")
def test_what_an_input_method_composes_is_not_sent_by_ctrl_enter(
    page: Page, live_site: Site
) -> None:
    prefer_ctrl_enter(page)
    field = page.get_by_label(FIELD)
    field.fill("かな")
    for composing in ({"isComposing": True}, {"keyCode": 229}):
        event = {"key": "Enter", "ctrlKey": True, "bubbles": True, "cancelable": True} | composing
        field.dispatch_event("keydown", event)
    expect(field).to_have_value("かな")
    assert asked(live_site) == []
    field.press("Control+Enter")
    wait_for_end(page)
    assert asked(live_site) == ["かな"]

"""Rating an answer, and where it came from, in a real browser."""

import json
import re
from itertools import count

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.accessible import faults_of, is_too_wide
from tests.browser.axe import violations
from tests.browser.conftest import sign_in
from tests.browser.test_chat import answer_of, ask, wait_for_end
from tests.servers import Site

THINKING = [
    {"reasoning": "Let me think."},
    {"sleep": 1.2},
    {"delta": "Tea."},
    {"sleep": 0.4},
    {"delta": " Green."},
    {"finish": "stop"},
]


def answered(page: Page, site: Site, *scripts: str) -> None:
    site.upstream.script(*(scripts or ("text:Green tea.",)))
    ask(page)
    wait_for_end(page)


def thumb(page: Page, name: str = "Good answer"):
    return page.get_by_role("button", name=name)


def panel_of(page: Page):
    return page.get_by_role("form", name="Say why")


def told(page: Page) -> dict:
    """Return the rating of the answer as the API tells it."""
    path = page.url.replace("/c/", "/api/v1/conversations/") + "messages/"
    return page.request.get(path).json()["items"][-1]["rating"]


def test_one_press_rates_and_another_tab_and_a_reload_show_it(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    answered(page, live_site)
    other = context.new_page()
    other.goto(page.url)
    expect(thumb(other)).to_have_attribute("aria-pressed", "false")
    thumb(page).click()
    expect(thumb(page)).to_have_attribute("aria-pressed", "true")
    expect(panel_of(page)).to_be_visible()
    expect(thumb(other)).to_have_attribute("aria-pressed", "true")
    expect(panel_of(other)).to_have_count(0)
    assert (told(page)["value"], told(page)["reasons"]) == (1, [])
    page.get_by_label("To the point").check()
    page.get_by_label("Comment").fill("Just <b>right</b>.")
    page.get_by_role("button", name="Save").click()
    expect(panel_of(page)).to_have_count(0)
    assert (told(page)["reasons"], told(page)["comment"]) == (["concise"], "Just <b>right</b>.")
    for tab in (page, other):
        tab.get_by_role("link", name="Say why").click()
        expect(tab.get_by_label("To the point")).to_be_checked()
        expect(tab.get_by_label("Comment")).to_have_value("Just <b>right</b>.")
    page.reload()
    expect(thumb(page)).to_have_attribute("aria-pressed", "true")
    thumb(page).click()
    for tab in (page, other):
        expect(thumb(tab)).to_have_attribute("aria-pressed", "false")
        expect(tab.get_by_role("link", name="Say why")).to_be_hidden()
        expect(panel_of(tab)).to_have_count(0)
    assert told(page) is None


def test_the_other_thumb_takes_its_place_and_asks_what_was_wrong(
    page: Page, live_site: Site
) -> None:
    answered(page, live_site)
    thumb(page).click()
    page.get_by_label("Thorough").check()
    page.get_by_label("Comment").fill("On second thought")
    page.get_by_role("button", name="Save").click()
    thumb(page, "Bad answer").click()
    expect(thumb(page)).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("group", name="What was wrong?")).to_be_visible()
    expect(page.get_by_role("group", name="What was good?")).to_be_hidden()
    expect(page.get_by_label("Comment")).to_have_value("On second thought")
    page.get_by_label("Comment").fill("Not saved yet")
    thumb(page).click()
    expect(page.get_by_label("Comment")).to_have_value("Not saved yet")
    thumb(page, "Bad answer").click()
    with page.expect_response(lambda each: each.request.method == "DELETE"):
        page.get_by_role("button", name="Remove the rating").click()
    expect(thumb(page, "Bad answer")).to_have_attribute("aria-pressed", "false")
    expect(thumb(page, "Bad answer")).to_be_focused()
    assert told(page) is None


def test_what_is_saved_does_not_take_the_place_of_what_was_pressed_since(
    page: Page, live_site: Site
) -> None:
    answered(page, live_site)
    with page.expect_response(lambda each: each.request.method == "PUT"):
        thumb(page).click()
    held: list[Route] = []
    page.route("**/rating/", lambda route: held.append(route))
    page.get_by_label("Comment").fill("Hm")
    with page.expect_request("**/rating/"):
        page.get_by_role("button", name="Save").click()
    thumb(page, "Bad answer").click()
    with page.expect_request("**/rating/"):
        held[0].continue_()
    expect(panel_of(page)).to_be_visible()
    assert thumb(page, "Bad answer").get_attribute("aria-pressed") == "true"
    with page.expect_response("**/rating/"):
        held[1].continue_()
    assert (told(page)["value"], told(page)["comment"]) == (-1, "Hm")


@pytest.mark.parametrize("is_second_taken", [True, False])
def test_what_was_not_taken_is_taken_back_only_from_where_it_was_shown(
    page: Page, live_site: Site, is_second_taken: bool
) -> None:
    answered(page, live_site)
    held: list[Route] = []
    page.route("**/rating/", lambda route: held.append(route))
    with page.expect_request("**/rating/"):
        thumb(page).click()
    thumb(page, "Bad answer").click()
    with page.expect_request("**/rating/"):
        held[0].abort()
    expect(page.locator(".toast")).to_have_count(1)
    assert thumb(page, "Bad answer").get_attribute("aria-pressed") == "true"
    assert panel_of(page).is_visible()
    if is_second_taken:
        with page.expect_response("**/rating/"):
            held[1].continue_()
        assert told(page)["value"] == -1
    else:
        held[1].abort()
        expect(panel_of(page)).to_have_count(0)
    expected = str(is_second_taken).lower()
    expect(thumb(page, "Bad answer")).to_have_attribute("aria-pressed", expected)
    expect(thumb(page)).to_have_attribute("aria-pressed", "false")


def test_by_keys_alone(page: Page, live_site: Site) -> None:
    answered(page, live_site)
    thumb(page, "Bad answer").focus()
    page.keyboard.press("Enter")
    expect(thumb(page, "Bad answer")).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("you can say why")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Say why")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Not correct")).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    expect(panel_of(page)).to_have_count(0)
    expect(thumb(page, "Bad answer")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Not correct")).not_to_be_checked()
    page.keyboard.press("Space")
    page.get_by_label("Comment").focus()
    page.keyboard.type("No.")
    page.keyboard.press("Control+Enter")
    expect(thumb(page, "Bad answer")).to_be_focused()
    assert (told(page)["reasons"], told(page)["comment"]) == (["incorrect"], "No.")


def test_what_the_server_did_not_take_is_told_and_taken_back(page: Page, live_site: Site) -> None:
    answered(page, live_site)
    body = {"error": {"code": "overloaded", "message": "Too busy.", "retryable": True}}
    page.route("**/rating/", lambda route: route.fulfill(status=503, body=json.dumps(body)))
    thumb(page).click()
    expect(page.locator(".toast")).to_contain_text("Too busy.")
    expect(thumb(page)).to_have_attribute("aria-pressed", "false")
    expect(panel_of(page)).to_have_count(0)
    page.unroute("**/rating/")
    thumb(page).click()
    expect(panel_of(page)).to_be_visible()
    expect(thumb(page)).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Comment").fill("Kept")
    page.route("**/rating/", lambda route: route.abort())
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".toast").last).to_be_visible()
    expect(page.get_by_label("Comment")).to_have_value("Kept")


def test_quick_presses_end_with_the_last_one(page: Page, live_site: Site) -> None:
    answered(page, live_site)
    saved = count(1)
    with page.expect_response(lambda each: "/rating/" in each.url and next(saved) == 6):
        for name in ("Good answer", "Bad answer", "Good answer", "Bad answer", "Bad answer"):
            thumb(page, name).click()
        thumb(page, "Good answer").click()
    page.wait_for_timeout(1000)
    expect(thumb(page)).to_have_attribute("aria-pressed", "true")
    expect(thumb(page, "Bad answer")).to_have_attribute("aria-pressed", "false")
    assert told(page)["value"] == 1


def test_without_a_script(page: Page, chromium: Browser, live_site: Site) -> None:
    answered(page, live_site)
    plain = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(plain, live_site)
    still = plain.new_page()
    still.goto(page.url)
    thumb(still).click()
    expect(thumb(still)).to_have_attribute("aria-pressed", "true")
    still.get_by_role("link", name="Say why").click()
    still.get_by_label("Bad answer").check()
    still.get_by_label("Incomplete").check()
    still.get_by_label("Comment").fill("More, please.")
    still.get_by_role("button", name="Save").click()
    expect(thumb(still, "Bad answer")).to_have_attribute("aria-pressed", "true")
    assert (told(page)["reasons"], told(page)["comment"]) == (["incomplete"], "More, please.")
    still.get_by_role("link", name="About this answer").click()
    expect(still.get_by_role("heading", name="About this answer")).to_be_visible()
    expect(still.get_by_text("Done", exact=True)).to_be_visible()
    still.get_by_role("link", name="Back to the conversation").click()
    thumb(still, "Bad answer").click()
    expect(thumb(still, "Bad answer")).to_have_attribute("aria-pressed", "false")
    assert told(page) is None
    plain.close()


def test_the_drawer_tells_where_an_answer_came_from(page: Page, live_site: Site) -> None:
    answered(page, live_site, "text:one", "text:two")
    page.get_by_role("button", name="Answer again").click()
    expect(answer_of(page)).to_have_text("two")
    wait_for_end(page)
    about = page.get_by_role("link", name="About this answer")
    about.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="About this answer")
    expect(drawer).to_be_visible()
    expect(drawer).to_contain_text("Version2 of 2")
    expect(drawer).to_contain_text("Tokens out")
    expect(drawer.get_by_role("link", name="Trace")).to_have_attribute("href", re.compile("/g/"))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(about).to_be_focused()
    about.click()
    drawer.get_by_role("button", name="Close").click()
    expect(about).to_be_focused()
    page.route("**/about/*", lambda route: route.abort())
    about.click()
    expect(page.locator(".toast")).to_contain_text("That did not work")
    expect(drawer).to_be_hidden()


def test_the_drawer_shows_what_the_model_was_told(page: Page, live_site: Site) -> None:
    answered(page, live_site)
    page.locator("#topbar-more").click()
    page.get_by_role("menuitem", name="Model parameters…").click()
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("System prompt").fill("Be brief.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#options-part .field-help").last).to_contain_text("will be asked for so")
    page.keyboard.press("Escape")
    answered(page, live_site)
    page.get_by_role("link", name="About this answer").last.click()
    drawer = page.get_by_role("dialog", name="About this answer")
    drawer.get_by_text("Model parameters").click()
    expect(drawer.get_by_text("0.5", exact=True)).to_be_visible()
    drawer.get_by_text("System prompt").click()
    expect(drawer.get_by_text("Be brief.")).to_be_visible()


def test_a_reload_tells_how_long_it_thought_as_the_page_did(page: Page, live_site: Site) -> None:
    live_site.upstream.script(THINKING)
    ask(page)
    title = page.locator(".reasoning-title").last
    expect(title).to_have_text(re.compile(r"^Thought for 1\.\d s$"))
    live = float(title.inner_text().split()[2])
    wait_for_end(page)
    expect(answer_of(page)).to_have_text("Tea. Green.")
    ended = title.inner_text()
    assert abs(float(ended.split()[2]) - live) <= 0.5
    page.reload()
    expect(title).to_have_text(ended)


def test_who_comes_while_it_is_written_is_told_the_time_at_the_end(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    live_site.upstream.script([*THINKING[:3], {"sleep": 2}, *THINKING[4:]])
    ask(page)
    expect(answer_of(page)).to_contain_text("Tea.")
    late = context.new_page()
    late.goto(page.url)
    expect(answer_of(late)).to_contain_text("Tea.")
    title = late.locator(".reasoning-title").last
    expect(title).to_have_text("Thoughts")
    expect(title).to_have_text(re.compile(r"^Thought for 1\.\d s$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_panel_drawer_and_pages_are_accessible(
    chromium: Browser, live_site: Site, account: None, scheme: str, width: int
) -> None:
    live_site.upstream.reset()
    context = chromium.new_context(
        base_url=live_site.url, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    sign_in(context, live_site)
    page = context.new_page()
    page.goto("/")
    answered(page, live_site)

    def check() -> None:
        page.wait_for_timeout(300)  # What unfolds has unfolded.
        assert violations(page) == []
        assert not is_too_wide(page)

    thumb(page).click()
    page.get_by_label("Thorough").check()
    check()
    page.get_by_role("link", name="About this answer").click()
    expect(page.get_by_role("dialog", name="About this answer")).to_be_visible()
    check()
    about = str(page.locator("[data-action=about]").get_attribute("href"))
    for address in (about, about.replace("/about/", "/rating/")):
        page.goto(address)
        check()
        assert faults_of(page) == []
    context.close()

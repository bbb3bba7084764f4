"""The versions of a message in a real browser."""

import re

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import sign_in
from tests.browser.test_chat import answer_of, ask, wait_for_end, wait_until_writing
from tests.servers import Site


def answer_twice(page: Page, site: Site, *scripts: str) -> None:
    site.upstream.script("text:one", "text:two", *scripts)
    ask(page)
    wait_for_end(page)
    expect(answer_of(page)).to_have_text("one")
    page.get_by_role("button", name="Answer again").last.click()
    expect(answer_of(page)).to_have_text("two")
    wait_for_end(page)
    expect(page.locator(".pager")).to_contain_text("2/2")


def show(page: Page, **wanted: str) -> None:
    """Show another version, as another device of the same person would."""
    page.evaluate(
        """async (wanted) => {
          const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
          const base = `/api/v1${location.pathname.replace("/c/", "/conversations/")}`;
          const { items } = await (await fetch(`${base}messages/`)).json();
          const [[name, value]] = Object.entries(wanted);
          const leaf = items.findLast((item) => item[name] === value).id;
          const headers = { "X-CSRFToken": token, "Content-Type": "application/json" };
          await fetch(base, { method: "PATCH", headers, body: JSON.stringify({ leaf }) });
        }""",
        wanted,
    )


def test_the_pager_leads_to_an_earlier_answer_in_every_tab_and_after_a_reload(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    answer_twice(page, live_site, "text:three")
    other = context.new_page()
    other.goto(page.url)
    expect(answer_of(other)).to_have_text("two")
    earlier = page.get_by_role("button", name="Earlier version")
    earlier.focus()
    page.keyboard.press("Enter")
    expect(answer_of(page)).to_have_text("one")
    expect(page.locator(".pager")).to_contain_text("1/2")
    expect(earlier).to_be_disabled()
    expect(page.get_by_role("button", name="Later version")).to_be_focused()
    expect(page.locator("#announcer")).to_have_text("Version 1 of 2")
    expect(answer_of(other)).to_have_text("one")
    page.reload()
    expect(answer_of(page)).to_have_text("one")
    ask(page, "Go on")
    expect(answer_of(page)).to_have_text("three")
    told = live_site.upstream.journal[-1]["body"]["messages"]
    assert [turn["content"] for turn in told if turn["role"] == "assistant"] == ["one"]
    expect(answer_of(other)).to_have_text("three")
    expect(answer_of(other, 0)).to_have_text("one")


def test_an_answer_on_a_branch_that_is_not_shown_is_let_go_and_found_again(
    page: Page, live_site: Site
) -> None:
    live_site.upstream.script("text:one", "words:100@40")
    ask(page)
    wait_for_end(page)
    page.get_by_role("button", name="Answer again").click()
    wait_until_writing(page)
    page.reload()
    message = page.locator(".assistant").get_attribute("data-message")
    show(page, text="one")
    expect(answer_of(page)).to_have_text("one")
    expect(page.locator(f'[data-message="{message}"]')).to_have_count(0)
    expect(page.locator("[aria-busy]")).to_have_count(0)
    page.get_by_role("button", name="Later version").click()
    expect(answer_of(page)).to_contain_text("word99")
    wait_for_end(page)


@pytest.mark.parametrize("first", ["the page", "the answer"])
def test_an_answer_that_ends_while_the_page_is_read_again_is_shown_whole(
    page: Page, live_site: Site, first: str
) -> None:
    live_site.upstream.script("text:one", "words:40@40")
    ask(page)
    wait_for_end(page)
    # The page as it is now, on its way; and the rendering of the answer's end.
    pages: list[tuple[Route, APIResponse]] = []
    ends: list[Route] = []
    page.get_by_role("button", name="Answer again").click()
    wait_until_writing(page)
    page.route(re.compile("/c/[^/]+/$"), lambda route: pages.append((route, route.fetch())))
    page.route(re.compile("/m/[^/]+/$"), lambda route: ends.append(route))
    show(page, role="assistant")  # The newest, which is shown already: news to read the page again.
    while not (pages and ends):
        page.wait_for_timeout(50)
    for arrives in (first, "the answer" if first == "the page" else "the page"):
        if arrives == "the page":
            pages[0][0].fulfill(response=pages[0][1])
            page.wait_for_timeout(200)
        else:
            ends[0].continue_()
            page.wait_for_timeout(200)
    expect(answer_of(page)).to_contain_text("word39")
    wait_for_end(page)
    expect(page.locator(".pager")).to_contain_text("2/2")
    expect(page.locator(".phase")).to_have_count(0)


def test_an_edited_prompt_stands_beside_the_earlier_one(page: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one", "text:two", "text:three")
    ask(page, "First")
    wait_for_end(page)
    ask(page, "Secnod")
    wait_for_end(page)
    edit = page.get_by_role("button", name="Edit", exact=True).last
    edit.focus()
    page.keyboard.press("Enter")
    field = page.get_by_label("Edit the message")
    expect(field).to_be_focused()
    expect(field).to_have_value("Secnod")
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(edit).to_be_focused()
    page.keyboard.press("Enter")
    field.fill("Second")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".bubble")).to_have_text(["First", "Second"])
    expect(answer_of(page)).to_have_text("three")
    wait_for_end(page)
    told = live_site.upstream.journal[-1]["body"]["messages"]
    assert [turn["content"] for turn in told[-3:]] == ["First", "one", "Second"]
    expect(page.locator(".user .pager")).to_contain_text("2/2")
    page.get_by_role("button", name="Earlier version").click()
    expect(page.locator(".bubble")).to_have_text(["First", "Secnod"])
    expect(answer_of(page)).to_have_text("two")
    page.reload()
    expect(page.locator(".bubble")).to_have_text(["First", "Secnod"])


def test_the_pager_works_without_a_script(page: Page, chromium: Browser, live_site: Site) -> None:
    answer_twice(page, live_site)
    plain = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(plain, live_site)
    still = plain.new_page()
    still.goto(page.url)
    expect(still.locator(".pager")).to_contain_text("2/2")
    still.get_by_role("button", name="Earlier version").click()
    expect(answer_of(still)).to_have_text("one")
    still.get_by_role("button", name="Later version").click()
    expect(answer_of(still)).to_have_text("two")
    plain.close()

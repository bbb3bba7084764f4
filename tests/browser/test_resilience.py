"""Networks that go, servers that die, tabs that sleep: the full text in the end, nothing twice."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_chat import (
    ask,
    drop_sockets,
    text_of,
    wait_for_end,
    wait_until_writing,
)
from tests.servers import Site
from tests.upstream.modes import words_text

LENGTH = 200
SCRIPT = f"words:{LENGTH}@40"


def judge(page: Page, site: Site) -> None:
    """All of the text, once, on the page and after a reload; the model was asked once."""
    wait_for_end(page)
    assert text_of(page) == words_text(LENGTH).strip()
    page.reload()
    assert text_of(page) == words_text(LENGTH).strip()
    expect(page.locator(".bubble")).to_have_count(1)
    assert len(site.upstream.journal) == 1


def test_a_short_trouble_is_a_dot_and_what_went_on_is_said(page: Page, live_site: Site) -> None:
    live_site.upstream.script(SCRIPT)
    ask(page)
    wait_until_writing(page)
    dot = page.locator("#connection-dot")
    expect(dot).to_have_accessible_name("Connected")
    drop_sockets(page)
    expect(page.locator("#connection")).to_have_text("Resumed, nothing lost")
    expect(page.locator("#offline")).to_be_hidden()
    expect(dot).to_have_accessible_name("Connected")
    judge(page, live_site)


def test_a_frozen_tab_catches_up(page: Page, context: BrowserContext, live_site: Site) -> None:
    live_site.upstream.script(SCRIPT)
    ask(page)
    wait_until_writing(page)
    control = context.new_cdp_session(page)
    control.send("Page.setWebLifecycleState", {"state": "frozen"})
    page.wait_for_timeout(1500)
    control.send("Page.setWebLifecycleState", {"state": "active"})
    judge(page, live_site)


def test_back_to_a_page_that_was_left_in_mid_answer(page: Page, live_site: Site) -> None:
    live_site.upstream.script(SCRIPT)
    ask(page)
    wait_until_writing(page)
    page.goto("/account/")
    page.go_back()
    judge(page, live_site)


def test_a_page_out_of_the_cache_of_pages_connects_again(page: Page, live_site: Site) -> None:
    live_site.upstream.script(SCRIPT)
    ask(page)
    wait_until_writing(page)
    drop_sockets(page)
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")
    judge(page, live_site)


LISTEN = """() => {
  window.said = [];
  const line = document.getElementById("connection");
  const note = () => said.push(line.textContent);
  new MutationObserver(note).observe(line, { childList: true });
}"""


@pytest.fixture
def other_site(site_factory: Callable[..., Site]) -> Site:
    site = site_factory()
    site.create_user()
    return site


def test_a_server_that_is_killed_and_comes_back(chromium: Any, other_site: Site) -> None:
    with chromium.new_context(base_url=other_site.url) as context:
        sign_in(context, other_site)
        page = context.new_page()
        page.goto("/")
        other_site.upstream.script(SCRIPT)
        ask(page)
        wait_until_writing(page, "word20")
        page.evaluate(LISTEN)
        other_site.kill()
        expect(page.locator("#connection-dot")).to_have_attribute("data-state", "connecting")
        expect(page.locator("#offline")).to_contain_text("cannot be reached")
        page.wait_for_timeout(3000)
        # However often it is tried again.
        assert page.evaluate("said") == ["Reconnecting…"]
        other_site.start()
        expect(page.locator("#offline")).to_be_hidden(timeout=30_000)
        expect(page.locator(".message.assistant[aria-busy]")).to_have_count(0, timeout=30_000)
        shown = text_of(page)
        # What was shown is kept, as far as it goes, and stands there once.
        assert words_text(LENGTH).strip().startswith(shown)
        assert "word20" in shown
        expect(page.locator(".message-error")).to_be_visible()
        expect(page.get_by_role("button", name="Switch model")).to_be_visible()
        page.reload()
        assert text_of(page) == shown

"""Chromium, signed in to a real site."""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.servers import Site

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=10_000)


# Not for the whole run: while it lives, Django takes its thread for asynchronous.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("No Chromium here; set CHROMIUM to its path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def account(live_site: Site) -> None:
    live_site.create_user()


@pytest.fixture
def context(chromium: Browser, live_site: Site, account: None) -> Iterator[BrowserContext]:
    """A signed-in browser profile; what its pages report as wrong fails the test."""
    live_site.upstream.reset()
    context = chromium.new_context(base_url=live_site.url)
    sign_in(context, live_site)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: is_refusal(message) and wrong.append(message.text))
    yield context
    context.close()
    assert wrong == []


def is_refusal(message: Any) -> bool:
    """Whether the page's security policy had to refuse something."""
    return message.type == "error" and "Content Security Policy" in message.text


def sign_in(context: BrowserContext, site: Site, username: str = "ada") -> None:
    cookies = site.login(username)
    context.add_cookies(
        [{"name": name, "value": value, "url": site.url} for name, value in cookies.items()]
    )


@pytest.fixture
def page(context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto("/")
    return page

"""Chromium, signed in to a real site."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect, sync_playwright

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

# Those that wait before those that run.
UNENDED = """
    SELECT chat_generation.id, username FROM chat_generation
    JOIN auth_user ON auth_user.id = owner_id
    WHERE status IN ('queued', 'running') ORDER BY status, chat_generation.id DESC
"""

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


@pytest.fixture(autouse=True)
def no_answer_is_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """It would take the answers that the next test has scripted, or the place of its own."""
    site = request.getfixturevalue("live_site") if "live_site" in request.fixturenames else None
    yield
    if site:
        stop_answers(site)


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


def stop_answers(site: Site) -> None:
    with closing(sqlite3.connect(site.data_dir / "db.sqlite3")) as database:
        left = database.execute(UNENDED).fetchall()
    keys = {username: site.create_api_key(username) for username in {owner for _, owner in left}}
    for generation, owner in left:
        address = f"{site.url}/api/v1/generations/{UUID(generation)}/stop/"
        httpx.post(address, headers={"Authorization": f"Bearer {keys[owner]}"}, timeout=30)


def is_refusal(message: Any) -> bool:
    """Whether the page's security policy had to refuse something."""
    return message.type == "error" and "Content Security Policy" in message.text


def keeps(field: str) -> Callable[[Response], bool]:
    """Tells a PATCH of this field from others, such as that which says that one was seen."""

    def is_kept(answer: Response) -> bool:
        request = answer.request
        return request.method == "PATCH" and field in (request.post_data_json or {})

    return is_kept


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

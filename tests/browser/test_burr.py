"""Burr's own page, as its package ships it, with this site for its server."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import sign_in
from tests.dialects.burr_client import QUESTION, REFUSAL, UNSAFE
from tests.servers import BASE_DIR, NginxServer, Site, free_port
from tests.upstream import words_text

CLIENTS = (BASE_DIR / "docs/clients.md").read_text()
BUILD = Path(str(files("burr"))) / "tracking" / "server" / "build"


@pytest.fixture(scope="module")
def address(live_site: Site) -> Iterator[str]:
    """Where page and site are put together, as the documentation says."""
    port = free_port()
    (config,) = re.findall(r"^```nginx\n(.*?)^```", CLIENTS, re.DOTALL | re.MULTILINE)
    for shown, real in {
        "/path/to/burr/tracking/server/build": str(BUILD),
        "127.0.0.1:7241": f"127.0.0.1:{port}",
        "http://127.0.0.1:8000": live_site.url,
    }.items():
        assert shown in config
        config = config.replace(shown, real)
    with NginxServer(config, port=port) as nginx:
        yield nginx.url


@pytest.fixture
def page(chromium: Browser, live_site: Site, account: None, address: str) -> Iterator[Page]:
    live_site.upstream.reset()
    context = chromium.new_context(base_url=address, viewport={"width": 1600, "height": 1000})
    sign_in(context, live_site)
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    page = context.new_page()
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def app(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def prompt(page: Page, app: str) -> Locator:
    """Where prompts are written, in an application that has just been made on the demo page."""
    return choose(page, app, f'Create "{app}"')


def choose(page: Page, app: str, option: str) -> Locator:
    page.goto("/demos/streaming-chatbot")
    page.get_by_role("combobox").fill(app)
    page.get_by_role("option").filter(has_text=option).click()
    prompt = page.get_by_placeholder("Ask me how tall")
    expect(prompt).to_be_enabled()
    return prompt


def ask(prompt: Locator, text: str) -> None:
    prompt.fill(text)
    prompt.press("Enter")


def test_the_chat_page_shows_the_answer_as_it_is_written_and_the_steps_beside_it(
    page: Page, prompt: Locator, live_site: Site
) -> None:
    steps = [{"delta": "data: begun"}, {"sleep": 2}, {"delta": " and ended."}, {"finish": "stop"}]
    live_site.upstream.script(*QUESTION, steps)
    ask(prompt, "Why?")
    expect(page.get_by_text("data: begun", exact=True)).to_be_visible()
    expect(prompt).to_be_disabled()
    row = page.get_by_role("row").filter(has_text="answer_question")
    expect(row).to_contain_text("stream")
    expect(row).to_contain_text("running")
    expect(page.get_by_text("data: begun and ended.", exact=True)).to_be_visible()
    expect(prompt).to_be_enabled()
    expect(row).to_contain_text("success")
    ask(prompt, UNSAFE)
    expect(page.get_by_text(REFUSAL, exact=True)).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="unsafe_response")).to_contain_text("success")
    expect(prompt).to_be_enabled()


def test_the_chat_page_shows_a_failure_and_can_go_on(
    page: Page, prompt: Locator, live_site: Site, app: str
) -> None:
    live_site.upstream.script(*QUESTION, "error-after:3", *QUESTION, "words:5")
    ask(prompt, "Will this fail?")
    shown = page.get_by_text("[error] The model server reported an error.")
    expect(shown).to_be_visible()
    expect(prompt).to_be_enabled()
    ask(prompt, "And now?")
    answer = page.get_by_text(words_text(5).strip(), exact=True)
    expect(answer).to_be_visible()
    expect(shown).to_be_visible()
    choose(page, app, app)
    expect(shown).to_be_visible()
    expect(answer).to_be_visible()


def test_the_telemetry_page_shows_what_was_done_and_takes_annotations(
    page: Page, prompt: Locator, live_site: Site, app: str
) -> None:
    live_site.upstream.script(*QUESTION, "words:6")
    ask(prompt, "Why?")
    expect(prompt).to_have_value("")
    page.get_by_role("link", name="Projects").click()
    page.get_by_text("streaming_chatbot").click()
    page.get_by_text(app).click()
    row = page.get_by_role("row").filter(has_text="answer_question").last
    row.click()
    tabs = page.get_by_role("navigation", name="Tabs")
    expect(page.get_by_text("chat_history", exact=True).first).to_be_visible()
    tabs.get_by_text("Code").click()
    expect(page.get_by_text("stream_answer").first).to_be_visible()
    tabs.get_by_text("Insights").click()
    expect(page.get_by_role("row").filter(has_text="Total Completion Tokens")).to_be_visible()
    row.locator("svg").last.click()
    page.get_by_placeholder("Notes about the annotation").fill("A note of ada's")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("row").filter(has_text="A note of ada's")).to_be_visible()
    page.goto("/annotations/demo_streaming_chatbot")
    expect(page.get_by_role("row").filter(has_text="A note of ada's")).to_be_visible()

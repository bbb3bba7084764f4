"""Chromium's own EventSource on text: the site's page, and pages of other origins (4.7, 2.6)."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.test_policy import OtherSite
from tests.guarantees.sites import asked
from tests.proxy import Proxy
from tests.servers import BASE_DIR, DaphneSite, Site
from tests.upstream import words_text

CLIENTS = BASE_DIR / "docs/clients.md"
# What such pages are like: text is appended, and one knows the end, the other does not.
PAGE = """<!doctype html><main style="white-space: pre-wrap"></main><script>
  const [address, end] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const container = document.querySelector("main");
  const source = new EventSource(address);
  window.errors = 0;
  source.addEventListener("message", (event) => {
    if (event.data === "[DONE]" && end === "[DONE]") source.close();
    else container.textContent += event.data;
  });
  source.addEventListener("error", (event) => {
    errors += 1;
    if (end === "error") source.close();
  });
</script>"""


@pytest.fixture
def asked_by_source(page: Page) -> list[Request]:
    return requests_of(page)


def requests_of(page: Page) -> list[Request]:
    made: list[Request] = []
    page.on("request", lambda r: r.resource_type == "eventsource" and made.append(r))
    return made


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Start Streaming").click()


def answer(page: Page) -> Any:
    return page.locator("#answer")


# The site's page -------------------------------------------------------------------------


def test_4_7_01_the_page_shows_an_answer_as_it_is_written(live_site, page, asked_by_source):
    live_site.upstream.script("text:Hello\n\n  world\n[DONE]\n<b>&amp;", "words:3")
    page.goto("/ask-demo/")
    ask(page, "Show me & mine")
    expect(answer(page)).to_have_js_property("textContent", "Hello\n\n  world\n[DONE]\n<b>&amp;")
    expect(answer(page)).to_have_css("white-space-collapse", "preserve")
    expect(answer(page)).not_to_have_attribute("aria-busy", "true")
    ask(page, "Once more")
    expect(answer(page)).to_have_js_property("textContent", words_text(3))
    page.wait_for_timeout(2500)  # Who had not closed would be back by now.
    assert len(asked_by_source) == 2
    assert len(asked(live_site, "Show me & mine")) == 1
    expect(page.get_by_role("alert")).to_be_hidden()


def test_4_7_01_the_page_reads_on_when_the_network_breaks(live_site, page, asked_by_source):
    live_site.upstream.script("words:60@40")
    with Proxy(live_site.port) as proxy:
        page.goto(f"http://127.0.0.1:{proxy.port}/ask-demo/")
        ask(page, "Hello")
        expect(answer(page)).to_contain_text("word10")
        proxy.reset()
        expect(answer(page)).to_have_js_property("textContent", words_text(60))
        assert len(asked_by_source) == 2
    assert len(live_site.upstream.journal) == 1


def test_the_page_says_when_it_may_not_ask(live_site, page):
    page.goto("/ask-demo/")
    page.context.clear_cookies()
    ask(page, "Hello")
    expect(page.get_by_role("alert")).to_be_visible()
    assert live_site.upstream.journal == []
    page.goto("/ask-demo/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_in_both_colours(live_site, page, scheme):
    live_site.upstream.script("text:" + "a" * 300)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto("/ask-demo/")
    ask(page, "Hello")
    expect(answer(page)).to_have_text("a" * 300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(27, 26, 25)"
    assert dark == (scheme == "dark")


def test_the_example_for_a_page_works(live_site, page):
    blocks = re.findall(r"^```js\n(.*?)^```", CLIENTS.read_text(), re.DOTALL | re.MULTILINE)
    (code,) = [block for block in blocks if "new EventSource" in block]
    live_site.upstream.script("words:3")
    page.goto("/ask-demo/")
    page.evaluate(f"() => {{ {code} }}")
    expect(page.locator("body")).to_contain_text(words_text(3).strip())
    assert len(asked(live_site, "Why is the sky blue?")) == 1


# Pages of other origins ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def other() -> Iterator[OtherSite]:
    with OtherSite() as other:
        other.page = PAGE
        yield other


@pytest.fixture(scope="module")
def open_site(other: OtherSite) -> Iterator[Site]:
    env = {"CHAT_OPEN_DIALECTS": "on", "CHAT_CORS_ORIGINS": other.url}
    with DaphneSite(env=env) as site:
        yield site


@pytest.fixture
def visitor(chromium: Browser, open_site: Site) -> Iterator[Page]:
    """A page of somebody who has no account."""
    open_site.upstream.reset()
    page = chromium.new_page()
    yield page
    page.context.close()


def show(page: Page, origin: str, address: str, end: str) -> list[Request]:
    """Let a page of an origin read an address; return what its EventSource requests."""
    requests = requests_of(page)
    page.goto(origin)
    page.evaluate("value => { location.hash = encodeURIComponent(value) }",
                  f'["{address}", "{end}"]')  # fmt: skip
    page.reload()
    return requests


@pytest.mark.parametrize("end", ["[DONE]", "nothing"])
def test_4_7_01_a_page_of_another_origin_asks_once(open_site, other, visitor, end):
    open_site.upstream.script("text:Hello\n\n world")
    requests = show(visitor, other.url, f"{open_site.url}/ask/?msg=Hello", end)
    shown = "Hello\n\n world" + "[DONE]" * (end == "nothing")
    expect(visitor.locator("main")).to_have_js_property("textContent", shown)
    if end == "nothing":
        expect_state(visitor, "source.readyState === EventSource.CLOSED")
    assert_asked_once(open_site, requests, comes_back=end == "nothing")


@pytest.mark.parametrize("end", ["error", "nothing"])
def test_2_6_03_a_page_of_another_origin_asks_once(open_site, other, visitor, end):
    open_site.upstream.script("words:10@100")
    requests = show(visitor, other.url, f"{open_site.url}/stream-with-get?question=Hello", end)
    expect_state(visitor, "source.readyState === EventSource.CLOSED")
    expect(visitor.locator("main")).to_have_js_property("textContent", words_text(10))
    assert_asked_once(open_site, requests, comes_back=end == "nothing")


def test_2_6_04_a_page_of_another_origin_reads_on(open_site, other, visitor):
    open_site.upstream.script("words:60@40")
    with Proxy(open_site.port) as proxy:
        address = f"http://127.0.0.1:{proxy.port}/stream-with-get?question=Hello"
        requests = show(visitor, other.url, address, "nothing")
        expect(visitor.locator("main")).to_contain_text("word10")
        proxy.reset()
        expect_state(visitor, "source.readyState === EventSource.CLOSED")
        expect(visitor.locator("main")).to_have_js_property("textContent", words_text(60))
        first, cut, last = [each.all_headers().get("last-event-id") for each in requests]
    assert (first, last.endswith(".end")) == (None, True)
    assert int(cut.rpartition(".")[2]) > 0
    assert len(open_site.upstream.journal) == 1


def test_a_page_of_another_origin_posts_and_reads(open_site, other, visitor):
    open_site.upstream.script("words:3", "words:3")
    visitor.goto(other.url)
    post = """async ([url, body]) => {
      const headers = {"Content-Type": "application/json", "Last-Event-ID": ""};
      const response = await fetch(url, {method: "POST", headers, body: JSON.stringify(body)});
      return [response.headers.get("content-type"), await response.text()];
    }"""
    question = {"question": "Hello"}
    kind, text = visitor.evaluate(post, [f"{open_site.url}/nostream", question])
    assert (kind, text) == ("application/json", f'{{"answer":"{words_text(3)}"}}')
    kind, text = visitor.evaluate(post, [f"{open_site.url}/stream-with-post", question])
    assert kind == "text/event-stream"
    assert "event: done" in text
    kind, text = visitor.evaluate(post, [f"{open_site.url}/ask", {"messages": []}])
    assert (kind, text[:9]) == ("text/plain; charset=utf-8", "messages:")


def test_a_page_of_an_origin_that_is_not_named_asks_nothing(open_site, visitor):
    with OtherSite() as stranger:
        stranger.page = PAGE
        show(visitor, stranger.url, f"{open_site.url}/ask/?msg=Hello", "[DONE]")
        expect_state(visitor, "source.readyState === EventSource.CLOSED")
    assert open_site.upstream.journal == []


def test_a_guest_may_use_the_page(open_site, visitor):
    open_site.upstream.script("words:3")
    visitor.goto(f"{open_site.url}/ask-demo/")
    ask(visitor, "Hello")
    expect(answer(visitor)).to_have_js_property("textContent", words_text(3))


def expect_state(page: Page, condition: str) -> None:
    page.wait_for_function(condition, timeout=20_000)


def assert_asked_once(site: Site, requests: list[Request], *, comes_back: bool) -> None:
    assert len(site.upstream.journal) == 1
    first, *again = [request.all_headers().get("last-event-id") for request in requests]
    assert first is None
    assert [each.endswith(".end") for each in again] == [True] * comes_back
    if comes_back:
        assert requests[-1].response().status == 204

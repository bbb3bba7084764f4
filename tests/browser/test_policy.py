"""X04, X05: what the page's security policy stops in a real browser, should all else fail."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import sign_in
from tests.servers import Site


class OtherSite:
    """Somebody else's site. ``hits`` holds every path that was asked of it; it serves ``page``."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.page = ""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                self.hits.append(handler.path)
                body = self.page.encode()
                handler.send_response(200)
                handler.send_header("Content-Type", "text/html; charset=utf-8")
                handler.send_header("Access-Control-Allow-Origin", "*")
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            do_POST = do_OPTIONS = do_GET  # noqa: N815

            def log_message(handler, *args: Any) -> None:  # noqa: N805
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self) -> "OtherSite":
        self.thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def wait_until(page: Page, condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """As `wait_for_function`, which the policy refuses. Events of the page arrive meanwhile."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        page.wait_for_timeout(20)


@pytest.fixture
def other() -> Iterator[OtherSite]:
    with OtherSite() as other:
        yield other


@pytest.fixture(scope="module")
def profile(chromium: Browser, live_site: Site, account: None) -> Iterator[BrowserContext]:
    """A signed-in profile whose pages may be refused things, unlike those of the other tests."""
    context = chromium.new_context(base_url=live_site.url)
    sign_in(context, live_site)
    yield context
    context.close()


@pytest.fixture(scope="module")
def signed_in(profile: BrowserContext) -> Iterator[Page]:
    page = profile.new_page()
    page.goto("/")
    page.evaluate(
        """() => {
          window.refused = [];
          addEventListener("securitypolicyviolation", (e) => refused.push(e.effectiveDirective));
        }"""
    )
    yield page
    page.close()


ELEMENT = """const add = (name, attributes, text = "") => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  document.body.append(element);
  return element;
};
"""
# What a node that got into the page might try, and the directive that stops it.
ATTEMPTS = {
    "inline-script": ("add('script', {}, 'pwned = 1')", "script-src-elem"),
    "inline-module": ("add('script', {type: 'module'}, 'pwned = 1')", "script-src-elem"),
    "script-of-another": ("add('script', {src: other + '/x.js'})", "script-src-elem"),
    "script-in-data": ("add('script', {src: 'data:text/javascript,pwned=1'})", "script-src-elem"),
    "handler": ("add('button', {onclick: 'pwned = 1'}).click()", "script-src-attr"),
    "image-handler": ("add('img', {src: 'data:,', onerror: 'pwned = 1'})", "script-src-attr"),
    "javascript-link": ("add('a', {href: 'javascript:pwned=1'}).click()", "script-src-elem"),
    "eval": ("setTimeout(() => { eval('pwned = 1') })", "script-src"),
    "function": ("setTimeout(() => { new Function('pwned = 1')() })", "script-src"),
    "timeout": ("setTimeout(() => setTimeout('pwned = 1'))", "script-src"),
    "worker": (
        "new Worker(URL.createObjectURL(new Blob(['fetch(\"' + other + '\")'])))", "worker-src"
    ),
    "inline-style": ("add('style', {}, 'body { color: rgb(1, 2, 3) }')", "style-src-elem"),
    "style-attribute": ("document.body.setAttribute('style', 'color: rgb(1, 2, 3)')",
                        "style-src-attr"),
    "style-of-another": ("add('link', {rel: 'stylesheet', href: other})", "style-src-elem"),
    "fetch": ("fetch(other)", "connect-src"),
    "fetch-without-cors": ("fetch(other, {mode: 'no-cors', method: 'POST'})", "connect-src"),
    "beacon": ("navigator.sendBeacon(other, 'x')", "connect-src"),
    "socket": ("new WebSocket(other.replace('http', 'ws'))", "connect-src"),
    "event-source": ("new EventSource(other)", "connect-src"),
    "image": ("add('img', {src: other})", "img-src"),
    "frame": ("add('iframe', {src: other})", "frame-src"),
    "object": ("add('object', {data: other})", "object-src"),
    "font": ("new FontFace('x', `url(${other})`).load()", "font-src"),
    "media": ("add('video', {src: other})", "media-src"),
    "form": ("add('form', {action: other, method: 'post'}).submit()", "form-action"),
    "base": ("add('base', {href: other + '/'})", "base-uri"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTEMPTS)
def test_x04_what_a_node_in_the_page_tries_is_refused(signed_in, other, live_site, name):
    code, directive = ATTEMPTS[name]
    before = signed_in.evaluate("[document.baseURI, getComputedStyle(document.body).color]")
    signed_in.evaluate("refused.length = 0")
    signed_in.evaluate(
        f"(other) => {{ {ELEMENT} try {{ Promise.resolve({code}).catch(() => 0) }} catch {{}} }}",
        other.url,
    )
    wait_until(signed_in, lambda: signed_in.evaluate("refused.length") > 0)
    assert set(signed_in.evaluate("refused")) == {directive}
    signed_in.wait_for_timeout(100)
    assert signed_in.evaluate("typeof pwned") == "undefined"
    after = signed_in.evaluate("[document.baseURI, getComputedStyle(document.body).color]")
    assert after == before
    assert signed_in.url == f"{live_site.url}/"
    assert other.hits == []


def test_x04_a_frame_of_written_text_runs_nothing(signed_in):
    refusals: list[str] = []
    signed_in.on("console", lambda message: refusals.append(message.text))
    srcdoc = "<script>parent.pwned = 1</script>"
    signed_in.evaluate(f"() => {{ {ELEMENT} add('iframe', {{srcdoc: `{srcdoc}`}}) }}")
    wait_until(signed_in, lambda: bool(refusals))
    signed_in.wait_for_timeout(300)
    assert signed_in.evaluate("typeof pwned") == "undefined"
    assert [text for text in refusals if "script-src 'self'" in text]


def test_x04_the_same_attempts_succeed_where_no_policy_stops_them(chromium, other):
    """The attempts are real: on a page without a policy they do what they are refused here."""
    other.page = "<body>"
    page = chromium.new_page()
    page.goto(other.url)
    for name in ("inline-script", "handler", "eval", "function", "javascript-link"):
        page.evaluate("window.pwned = 0")
        page.evaluate(f"(other) => {{ {ELEMENT} {ATTEMPTS[name][0]} }}", other.url)
        page.wait_for_function("window.pwned === 1")
    for name in ("fetch", "image", "frame", "form"):
        other.hits.clear()
        page.evaluate(f"(other) => {{ {ELEMENT} {ATTEMPTS[name][0]} }}", other.url)
        wait_until(page, lambda: bool(other.hits))
        assert other.hits, name
    page.context.close()


def test_x04_the_policy_has_no_way_round(live_site, signed_in):
    """No nonce that could be reused, nothing unsafe, no wildcard, on any page."""
    for path in ("/", "/account/", "/accounts/login/", "/admin/", "/nowhere"):
        answer = signed_in.request.get(path)
        policy = answer.headers["content-security-policy"]
        for word in ("unsafe", "nonce-", "*", "http:", "https:", "strict-dynamic", "blob:"):
            assert word not in policy, (path, word)
        assert policy.count("data:") == 1
        assert "<script>" not in answer.text()
        assert "onclick=" not in answer.text()


@pytest.mark.parametrize("element", ["iframe", "object", "embed"])
def test_x05_a_page_of_another_origin_frames_nothing(signed_in, other, live_site, element):
    address = "data" if element == "object" else "src"
    paths = ["/", "/account/", "/accounts/login/", "/admin/", "/static/chat/main.js"]
    if element != "object":  # It shows nothing of what is not there.
        paths.append("/nowhere")
    frames = "".join(
        f'<{element} {address}="{live_site.url}{path}" type="text/html"></{element}>'
        for path in paths
    )
    other.page = f'<!doctype html><body>{frames}<iframe srcdoc="<p>shown</p>"></iframe>'
    page = signed_in.context.new_page()
    refusals: list[str] = []
    page.on("console", lambda message: refusals.append(message.text))
    page.goto(other.url)
    shown = page.frame_locator("iframe[srcdoc]").locator("p")
    expect(shown).to_have_text("shown")  # Frames as such work.
    wait_until(page, lambda: len(refusals) >= len(paths))
    page.wait_for_timeout(300)
    framed = [frame for frame in page.frames[1:] if frame.url.startswith(live_site.url)]
    for frame in framed:
        assert frame.evaluate("document.documentElement.innerText").strip() == ""
    assert len([text for text in refusals if "frame" in text.lower()]) >= len(paths)
    page.close()

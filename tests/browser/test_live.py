"""The live preview in Chromium: hostile text stays text, and no paint takes long."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from chat.markdown import ATTRIBUTES, TAGS, render
from tests.servers import Site
from tests.upstream.modes import MARKDOWN
from tests.xss_corpus import FORMS

BUNDLE = Path(__file__).parents[2] / "chat/static/chat/dist/live.js"

pytestmark = pytest.mark.skipif(not BUNDLE.exists(), reason="`make assets` builds the bundle.")

# Feeds each form in pieces of a size and reports every element that ever stood in the page.
FEED = """async ([address, forms, size]) => {
  const { LiveMarkdown } = await import(address);
  const globals = Object.keys(window).length;
  const seen = new Map();
  for (const form of forms) {
    const box = document.createElement("div");
    document.body.append(box);
    const live = new LiveMarkdown(box);
    const note = () => {
      for (const element of box.querySelectorAll("*")) {
        const attributes = [...element.attributes].map((a) => [a.name, a.value]);
        const key = JSON.stringify([element.localName, attributes]);
        seen.set(key, form);
      }
    };
    for (let i = 0; i < form.length; i += size) {
      live.append(form.slice(i, i + size));
      live.paint();
      note();
    }
    live.finish();
    note();
    box.remove();
  }
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { elements: [...seen], grown: Object.keys(window).length - globals };
}"""

DRAW = """async ([address, text, size]) => {
  const { LiveMarkdown } = await import(address);
  const box = document.createElement("div");
  const live = new LiveMarkdown(box);
  for (let i = 0; i < text.length; i += size) {
    live.append(text.slice(i, i + size));
    live.paint();
  }
  live.finish();
  return box.innerText || box.textContent;
}"""

# Counts what a paint makes anew, in nodes: the work that it costs, on whatever machine.
WORK = """async ([address, text, size]) => {
  const { LiveMarkdown } = await import(address);
  const box = document.createElement("div");
  document.body.append(box);
  const live = new LiveMarkdown(box);
  const observer = new MutationObserver(() => {});
  observer.observe(box, { childList: true, characterData: true, subtree: true });
  const nodesIn = (node) => {
    const walker = document.createTreeWalker(node);
    let count = 1;
    while (walker.nextNode()) count += 1;
    return count;
  };
  let most = 0;
  for (let i = 0; i < text.length; i += size) {
    live.append(text.slice(i, i + size));
    live.paint();
    let nodes = 0;
    for (const record of observer.takeRecords()) {
      nodes += record.type === "characterData" ? 1 : 0;
      for (const node of record.addedNodes) nodes += nodesIn(node);
    }
    most = Math.max(most, nodes);
  }
  return { most, text: box.textContent };
}"""


@contextmanager
def watched(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A page on which a dialog, a refusal by the policy or a foreign request fails the test."""
    wrong: list[str] = []
    page = context.new_page()
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: wrong.append(message.text))
    page.on(
        "request",
        lambda request: request.url.startswith(site.url) or wrong.append(request.url),
    )
    page.goto("/accounts/login/")
    yield page
    assert wrong == []


@pytest.fixture
def plain_context(chromium: Browser, live_site: Site) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=live_site.url)
    yield context
    context.close()


def assert_harmless(elements: list[list[str]]) -> None:
    allowed = {name for names in ATTRIBUTES.values() for name in names} | {"class", "rel"}
    for element, form in elements:
        tag, attributes = json.loads(element)
        attributes = dict(attributes)
        assert tag in TAGS, f"<{tag}> from {form}"
        assert set(attributes) <= allowed, f"{attributes} from {form}"
        if tag == "a" and "href" in attributes:
            assert attributes["href"].lower().startswith(("http://", "https://", "mailto:")), form
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert attributes["target"] == "_blank"


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_x01_x02_hostile_forms_are_harmless_in_pieces_of(
    plain_context: BrowserContext, live_site: Site, size: int
) -> None:
    forms = [*FORMS, "\n\n".join(FORMS)]
    with watched(plain_context, live_site) as page:
        report = page.evaluate(FEED, ["/static/chat/dist/live.js", forms, size])
        assert len(report["elements"]) > 20
        assert report["grown"] == 0
        assert_harmless(report["elements"])


def test_x01_x02_the_servers_html_of_hostile_forms_is_harmless(
    plain_context: BrowserContext, live_site: Site
) -> None:
    html = [str(render(form)) for form in FORMS]
    with watched(plain_context, live_site) as page:
        page.evaluate(
            """(parts) => parts.forEach((part) => {
              const box = document.createElement("div");
              box.innerHTML = part;
              document.body.append(box);
            })""",
            html,
        )
        page.wait_for_timeout(300)


def test_the_preview_says_what_the_server_says(
    plain_context: BrowserContext, live_site: Site
) -> None:
    text = MARKDOWN + "\n1. one\n2. two\n\n~~gone~~ https://a.example/x_y. <b>raw</b>\r\nlast"
    with watched(plain_context, live_site) as page:
        drawn = [
            page.evaluate(DRAW, ["/static/chat/dist/live.js", text, size]) for size in (1, 13, 9999)
        ]
        final = page.evaluate(
            """(html) => {
              const box = document.createElement("div");
              box.innerHTML = html;
              return box.textContent;
            }""",
            str(render(text)),
        )
    texts = {"".join(text.split()) for text in [*drawn, final]}
    assert len(texts) == 1, texts


SOURCES = """async ([address, text]) => {
  const { LiveMarkdown } = await import(address);
  const box = document.createElement("div");
  const live = new LiveMarkdown(box);
  const seen = new Set();
  for (const letter of text) {
    live.append(letter);
    live.paint();
    if (box.querySelector("em, li, math")) seen.add(box.innerHTML);
  }
  live.finish();
  const found = [...box.querySelectorAll("code.math-source")];
  return { sources: found.map((each) => each.textContent), wrong: [...seen] };
}"""


def test_formulas_are_shown_as_their_source_where_the_server_finds_them(
    plain_context: BrowserContext, live_site: Site
) -> None:
    text = (
        "Costs $5 and $10.\n\nBut $a_1 + b_1$ and \\(c_{2} * d * e\\), $$f$$ too.\n\n"
        "$$\n\\sum_i x_i * w_j\n- y\n$$\n\n\\[\n* z_1\n\\]\n\nThe end, `$g$`."
    )
    with watched(plain_context, live_site) as page:
        drawn = page.evaluate(SOURCES, ["/static/chat/dist/live.js", text])
    assert len(drawn["sources"]) == 5
    assert drawn["sources"][0] == "$a_1 + b_1$"
    assert drawn["sources"][3] == "$$\n\\sum_i x_i * w_j\n- y\n$$"
    assert str(render(text)).count("<math") == 5
    # Nor was a formula that had only begun taken for a list.
    assert not [html for html in drawn["wrong"] if "<li>" in html]


@pytest.mark.parametrize(
    ("start", "line", "end"),
    [
        ("", "Some **bold** words and `code`, then more of them.\n\n", "End."),
        ("```python\n", "value = call(argument, other)  # why\n", "```\n\nEnd."),
    ],
    ids=["paragraphs", "code"],
)
def test_no_paint_makes_more_anew_however_long_the_answer_is(
    plain_context: BrowserContext, live_site: Site, start: str, line: str, end: str
) -> None:
    with watched(plain_context, live_site) as page:
        short, long = (
            page.evaluate(WORK, ["/static/chat/dist/live.js", start + line * times + end, 40])
            for times in (50, 600)
        )
    assert long["text"].rstrip().endswith("End.")
    assert len(long["text"]) > 10 * len(short["text"])
    assert long["most"] <= short["most"]

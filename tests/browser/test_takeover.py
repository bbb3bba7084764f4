"""The end of an answer: the server's HTML takes the place of the preview, block by block."""

from playwright.sync_api import Page, expect

from tests.browser.test_chat import ANSWER, answer_of, ask, wait_for_end
from tests.servers import Site
from tests.upstream.modes import MARKDOWN

PARTS = 30
# Long enough that its code comes in several frames; what follows the pause is its end.
LONG = [
    {"delta": "".join(f"## Part {i}\n\n{MARKDOWN}\n" for i in range(PARTS))},
    {"delta": "The last [one](https://example.org/)."},
    {"sleep": 2.0},
    {"finish": "stop"},
    {"done": True},
]

# Compares what is shown with what the server sends for it; only scripts add buttons to code.
SAME = """async () => {
  const bare = (article) => {
    const copy = document.importNode(article, true);
    copy.querySelectorAll(".copy-code").forEach((button) => button.remove());
    const texts = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
    const blank = [];
    while (texts.nextNode()) {
      const node = texts.currentNode;
      if (!node.data.trim() && !node.parentNode.closest("pre")) blank.push(node);
    }
    blank.forEach((node) => node.remove());
    const attributes = [...copy.attributes].map(({ name, value }) => [name, value]).sort();
    return [attributes, copy.innerHTML];
  };
  const ours = document.querySelector(".message.assistant");
  const config = JSON.parse(document.getElementById("page-config").textContent);
  const nil = "00000000-0000-0000-0000-000000000000";
  const address = config.message_address.replace(nil, ours.dataset.message);
  const html = await (await fetch(address)).text();
  const theirs = new DOMParser().parseFromString(html, "text/html").querySelector("article");
  return [bare(ours), bare(theirs)];
}"""


def write_long(page: Page, site: Site) -> None:
    site.upstream.script(LONG)
    ask(page)
    expect(answer_of(page)).to_contain_text("The last one.")
    expect(page.locator(ANSWER)).to_have_attribute("aria-busy", "true")


def test_what_is_shown_at_the_end_is_what_the_server_sends(page: Page, live_site: Site) -> None:
    write_long(page, live_site)
    wait_for_end(page)
    expect(page.locator(f"{ANSWER} .tail")).to_have_count(0)
    expect(page.locator(f"{ANSWER} .code .copy-code")).to_have_count(PARTS)
    expect(page.locator(f"{ANSWER} .code .nf")).to_have_count(PARTS)
    ours, theirs = page.evaluate(SAME)
    assert ours == theirs


def test_text_that_does_not_change_keeps_selection_and_focus(page: Page, live_site: Site) -> None:
    write_long(page, live_site)
    page.evaluate(
        """() => {
          const answer = document.querySelector(".message.assistant .answer");
          window.stay = [...answer.querySelectorAll(":scope > :is(h3, h4, p)")];
          const [first] = stay.filter((block) => block.matches("p"));
          first.querySelector("a").focus();
          getSelection().selectAllChildren(first);
        }"""
    )
    selected = page.evaluate("getSelection().toString()")
    assert selected.startswith("It has bold")
    wait_for_end(page)
    assert page.evaluate("getSelection().toString()") == selected
    expect(answer_of(page).get_by_role("link", name="link").first).to_be_focused()
    assert page.evaluate("stay.filter((block) => !block.isConnected).length") == 0


def test_the_focus_in_a_block_that_changes_goes_to_the_answer(page: Page, live_site: Site) -> None:
    write_long(page, live_site)
    answer_of(page).locator("pre").first.focus()
    wait_for_end(page)
    expect(page.locator(ANSWER)).to_be_focused()

"""Answers given again by another model, gone on from, and forked, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.axe import violations
from tests.browser.conftest import keeps, sign_in
from tests.browser.test_chat import answer_of, ask, text_of, wait_for_end, wait_until_writing
from tests.servers import Site
from tests.upstream.modes import words_text

PHONE = {"width": 390, "height": 844}
ANOTHER = "With another model …"
AGAIN_WITH = "Answer again with …"


def broken_off(page: Page, site: Site, *scripts: str) -> None:
    """Get an answer that was cut at the model's limit."""
    site.upstream.script("finish:length", *scripts)
    ask(page)
    wait_for_end(page)
    expect(page.locator(".facts")).to_contain_text("Cut at the model's limit")


@pytest.fixture
def still(chromium: Browser, live_site: Site, page: Page) -> Iterator[Page]:
    """A page without a script, of the same person."""
    plain = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(plain, live_site)
    yield plain.new_page()
    plain.close()


def test_another_model_answers_this_time(page: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one", "text:two", "text:three")
    ask(page)
    wait_for_end(page)
    chosen = page.locator("#model").evaluate("(select) => select.selectedOptions[0].dataset.name")
    page.get_by_role("button", name=ANOTHER).click()
    menu = page.get_by_role("menu", name=AGAIN_WITH)
    current = menu.get_by_role("menuitemradio", checked=True)
    expect(current).to_have_count(1)
    expect(current).to_contain_text(chosen)
    expect(current).to_be_focused()
    assert violations(page) == []
    menu.get_by_role("menuitemradio", name="openai:echo").click()
    expect(answer_of(page)).to_have_text("two")
    wait_for_end(page)
    expect(page.locator(".facts")).to_contain_text("openai:echo")
    expect(page.locator(".pager")).to_contain_text("2/2")
    assert live_site.upstream.journal[-1]["body"]["model"] == "echo"
    # The conversation goes on with its own.
    ask(page, "Go on")
    expect(answer_of(page)).to_have_text("three")
    wait_for_end(page)
    expect(page.locator(".facts").last).to_contain_text(chosen)


def test_the_default_is_the_sites_and_not_the_conversations(page: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one", "text:two")
    ask(page)
    wait_for_end(page)
    default = page.locator("#model option").first.get_attribute("data-name") or ""
    with page.expect_response(keeps("model")):
        page.locator("#model").evaluate(
            """(select) => {
              select.value = "openai:echo";
              select.dispatchEvent(new Event("change", { bubbles: true }));
            }"""
        )
    page.get_by_role("button", name=ANOTHER).click()
    menu = page.get_by_role("menu", name=AGAIN_WITH)
    expect(menu.get_by_role("menuitemradio", checked=True)).to_contain_text("openai:echo")
    menu.get_by_role("menuitemradio", name=default).first.click()
    expect(answer_of(page)).to_have_text("two")
    wait_for_end(page)
    expect(page.locator(".facts")).to_contain_text(default)


def test_the_menu_is_used_by_keys_alone(page: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one", "text:two")
    ask(page)
    wait_for_end(page)
    opener = page.get_by_role("button", name=ANOTHER)
    opener.focus()
    page.keyboard.press("Enter")
    menu = page.get_by_role("menu", name=AGAIN_WITH)
    expect(menu).to_be_visible()
    expect(opener).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    expect(menu.get_by_role("menuitemradio").last).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(answer_of(page)).to_have_text("two")
    wait_for_end(page)
    # What was pressed is gone: the focus is with the answer that took its place.
    expect(page.locator(".assistant")).to_be_focused()


def test_an_answer_that_broke_off_goes_on_beside_itself(page: Page, live_site: Site) -> None:
    broken_off(page, live_site, "words:60@40")
    old = text_of(page)
    go_on = page.get_by_role("button", name="Continue")
    go_on.focus()
    page.keyboard.press("Enter")
    expect(answer_of(page)).to_contain_text(old)
    wait_until_writing(page)
    assert text_of(page).startswith(old)
    page.reload()
    expect(answer_of(page)).to_contain_text("word59")
    wait_for_end(page)
    assert text_of(page) == f"{old} {words_text(60).strip()}"
    expect(page.locator(".pager")).to_contain_text("2/2")
    expect(page.get_by_role("button", name="Continue")).to_have_count(0)
    assert page.get_by_role("article").last.get_attribute("data-incomplete") is None
    page.get_by_role("button", name="Earlier version").click()
    expect(answer_of(page)).to_have_text(old)
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def test_the_old_text_stands_while_the_model_thinks_and_is_kept_by_a_stop(
    page: Page, live_site: Site
) -> None:
    broken_off(page, live_site, "hang-before-headers")
    old = text_of(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".phase-text")).to_contain_text("Thinking")
    expect(answer_of(page)).to_have_text(old)
    page.get_by_role("button", name="Stop").click()
    wait_for_end(page)
    expect(answer_of(page)).to_have_text(old)
    expect(page.locator(".pager")).to_contain_text("2/2")
    expect(page.get_by_role("button", name="Continue")).to_be_visible()


def test_only_what_is_new_is_read_out(page: Page, live_site: Site) -> None:
    live_site.upstream.script(
        [{"delta": "The old sentence. And"}, {"finish": "length"}, {"done": True}],
        [{"delta": " a new one. "}, {"sleep": 0.3}, {"delta": "End."}, {"finish": "stop"}],
    )
    ask(page)
    wait_for_end(page)
    page.evaluate(
        """async () => {
          const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
          const body = new URLSearchParams({ csrfmiddlewaretoken: token, announce: "sentence" });
          await fetch("/settings/", { method: "POST", body });
        }"""
    )
    page.reload()
    page.evaluate(
        """() => {
          window.heard = [];
          const region = document.getElementById("announcer");
          new MutationObserver((changes) => changes.forEach(({ addedNodes }) =>
            addedNodes.forEach((node) => heard.push(node.textContent))
          )).observe(region, { childList: true });
        }"""
    )
    page.get_by_role("button", name="Continue").click()
    expect(answer_of(page)).to_have_text("The old sentence. And a new one. End.")
    wait_for_end(page)
    heard = page.evaluate("window.heard.join('|')")
    assert "a new one." in heard
    assert "old sentence" not in heard


def test_a_failed_answer_offers_to_go_on(page: Page, live_site: Site) -> None:
    live_site.upstream.script("eof-after:3", "text:the rest")
    ask(page)
    notice = page.locator(".message-error")
    expect(notice).to_be_visible()
    expect(notice.get_by_role("button")).to_have_text(["Continue", "Retry", "Switch model"])
    assert violations(page) == []
    page.set_viewport_size(PHONE)
    assert page.locator("#scroller").evaluate("(box) => box.scrollWidth <= box.clientWidth")
    notice.get_by_role("button", name="Switch model").click()
    expect(page.get_by_label("Search models and personas")).to_be_focused()
    page.keyboard.press("Escape")
    notice.get_by_role("button", name="Continue").click()
    expect(answer_of(page)).to_have_text("word0 word1 word2 the rest")
    wait_for_end(page)


def test_a_failure_without_text_offers_none(page: Page, live_site: Site) -> None:
    live_site.upstream.script("status:401")
    ask(page)
    expect(page.locator(".message-error")).to_be_visible()
    expect(page.get_by_role("button", name="Continue")).to_have_count(0)


def test_a_fork_opens_as_a_conversation_of_its_own(page: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one", "text:two", "text:three")
    ask(page, "First")
    wait_for_end(page)
    ask(page, "Second")
    wait_for_end(page)
    origin = page.url
    page.get_by_role("button", name=re.compile("^Fork")).first.click()
    expect(page.locator("#page-title")).to_have_text("First (fork)")
    assert page.url != origin
    expect(page.locator(".bubble")).to_have_text(["First"])
    expect(answer_of(page)).to_have_text("one")
    ask(page, "Otherwise")
    expect(answer_of(page)).to_have_text("three")
    page.goto(origin)
    expect(page.locator(".bubble")).to_have_text(["First", "Second"])


@pytest.mark.parametrize("width", [390, 1280])
def test_the_row_of_actions_stands_in_one_line(page: Page, live_site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    broken_off(page, live_site)
    tops = page.locator(".assistant .actions > :visible").evaluate_all(
        "(parts) => parts.map((part) => Math.round(part.getBoundingClientRect().top"
        " + part.getBoundingClientRect().height / 2))"
    )
    assert len(tops) == 7
    assert max(tops) - min(tops) <= 1
    sizes = page.locator(".assistant .actions button").evaluate_all(
        "(parts) => parts.map((part) => part.getBoundingClientRect())"
        ".map(({ width, height }) => Math.min(width, height))"
    )
    assert min(sizes) >= 24
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert violations(page) == []


def test_all_of_it_works_without_a_script(page: Page, still: Page, live_site: Site) -> None:
    broken_off(page, live_site, "text:the rest", "text:again", "text:by another", "text:edited")
    address = page.url
    still.goto(address)
    for name in ("Copy", "Edit", "Switch model"):
        expect(still.get_by_role("button", name=name, exact=True)).to_have_count(0)

    def answered(text: str, version: str) -> None:
        wait_for_end(still)  # The page reads itself again while an answer is written.
        expect(answer_of(still)).to_have_text(text)
        expect(still.locator(".assistant .pager")).to_contain_text(version)

    still.get_by_role("button", name="Continue").click()
    answered("word0 word1 word2 the rest", "2/2")
    assert re.fullmatch(re.escape(address) + r"(\?now=\w+)?#m-[0-9a-f-]+", still.url)
    still.get_by_role("button", name="Answer again", exact=True).click()
    answered("again", "3/3")
    still.get_by_role("link", name=ANOTHER).click()
    expect(still.get_by_role("heading", name="Answer again")).to_be_visible()
    still.get_by_label(AGAIN_WITH).select_option("openai:echo")
    still.get_by_role("button", name="Answer again").click()
    answered("by another", "4/4")
    expect(still.locator(".facts")).to_contain_text("openai:echo")
    still.get_by_role("link", name="Edit", exact=True).click()
    field = still.get_by_label("Your message")
    expect(field).to_have_value("A question")
    field.fill("Another question")
    still.get_by_role("button", name="Send").click()
    wait_for_end(still)
    expect(answer_of(still)).to_have_text("edited")
    expect(still.locator(".bubble")).to_have_text(["Another question"])
    expect(still.locator(".user .pager")).to_contain_text("2/2")
    still.get_by_role("button", name=re.compile("^Fork")).click()
    expect(still.locator("#page-title")).to_have_text("A question (fork)")
    expect(answer_of(still)).to_have_text("edited")
    assert still.url != address


def test_what_is_refused_without_a_script_is_said(page: Page, still: Page, live_site: Site) -> None:
    live_site.upstream.script("text:one")
    ask(page)
    wait_for_end(page)
    still.goto(page.url)
    button = still.locator('[data-action="regenerate"]')
    address = (button.get_attribute("formaction") or "").replace("/again/", "/continue/")
    token = still.locator("#message-form input[name=csrfmiddlewaretoken]").get_attribute("value")
    answer = still.request.post(
        address,
        form={"csrfmiddlewaretoken": token or ""},
        headers={"Referer": still.url},
    )
    assert answer.status == 409
    assert "This answer is whole" in answer.text()


@pytest.mark.parametrize("part", ["again", "edit"])
def test_the_small_pages_are_accessible(page: Page, live_site: Site, part: str) -> None:
    live_site.upstream.script("text:one")
    ask(page)
    wait_for_end(page)
    kind = {"again": ".assistant", "edit": ".user"}[part]
    message = page.locator(kind).get_attribute("data-message")
    page.set_viewport_size(PHONE)
    page.goto(f"/m/{message}/{part}/")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 390

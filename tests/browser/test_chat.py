"""A person's chat in a real browser, with a real server and a scripted model."""

import re

from playwright.sync_api import BrowserContext, Locator, Page, Route, WebSocketRoute, expect

from tests.servers import Site
from tests.upstream.modes import words_text

ANSWER = ".message.assistant"
RUNNING = re.compile("running")


def ask(page: Page, text: str = "A question") -> None:
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")


def answer_of(page: Page, number: int = -1) -> Locator:
    return page.locator(f"{ANSWER} .answer").nth(number)


def wait_until_writing(page: Page, word: str = "word3") -> None:
    expect(answer_of(page)).to_contain_text(word)
    expect(page.locator(ANSWER).last).to_have_attribute("aria-busy", "true")


def wait_for_end(page: Page) -> None:
    expect(page.locator(f"{ANSWER}[aria-busy]")).to_have_count(0)


def text_of(page: Page) -> str:
    return answer_of(page).inner_text().strip()


def test_an_answer_streams_and_ends_as_the_servers_html(page: Page, live_site: Site) -> None:
    live_site.upstream.script("markdown@40")
    ask(page, "Show me <b>Markdown</b>")
    expect(page.locator(".bubble")).to_have_text("Show me <b>Markdown</b>")
    expect(page.locator(".phase-text")).to_contain_text("Writing")
    expect(answer_of(page).locator("table")).to_be_visible()
    wait_for_end(page)
    expect(answer_of(page).locator(".code .kn, .code .k").first).to_have_text("def")
    expect(page.get_by_role("button", name="Copy", exact=True).last).to_be_visible()
    expect(page).to_have_url(re.compile("/c/"))
    expect(page.locator(".conversation a[aria-current]")).to_contain_text("Show me")


def test_a_reload_in_mid_answer_shows_the_full_text_and_goes_on(
    page: Page, live_site: Site
) -> None:
    live_site.upstream.script("words:120@40")
    ask(page)
    wait_until_writing(page, "word20")
    page.reload()
    expect(answer_of(page)).to_contain_text("word20")
    wait_for_end(page)
    assert text_of(page) == words_text(120).strip()
    assert len(live_site.upstream.journal) == 1


def test_a_lost_network_is_made_good(page: Page, context: BrowserContext, live_site: Site) -> None:
    live_site.upstream.script("words:150@40")
    ask(page)
    wait_until_writing(page, "word10")
    drop_sockets(page)
    context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("offline")
    page.wait_for_timeout(1000)
    context.set_offline(False)
    wait_for_end(page)
    assert text_of(page) == words_text(150).strip()
    expect(page.get_by_role("status").first).to_be_empty()


def test_what_is_sent_without_a_network_is_sent_once_when_it_is_back(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    live_site.upstream.script("words:5")
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")
    drop_sockets(page)
    context.set_offline(True)
    expect(page.locator("#connection")).to_have_attribute("data-state", "offline")
    ask(page)
    expect(page.locator(".phase-text")).to_contain_text("Waiting for the connection")
    context.set_offline(False)
    wait_for_end(page)
    assert text_of(page) == words_text(5).strip()
    assert len(live_site.upstream.journal) == 1


def test_two_tabs_agree(page: Page, context: BrowserContext, live_site: Site) -> None:
    live_site.upstream.script("words:3", "words:80@40", "words:4")
    ask(page, "First")
    wait_for_end(page)
    other = context.new_page()
    other.goto(page.url)
    ask(page, "Second")
    expect(other.locator(".bubble").last).to_have_text("Second")
    expect(answer_of(other)).to_contain_text("word10")
    wait_for_end(page)
    wait_for_end(other)
    assert text_of(page) == text_of(other) == words_text(80).strip()
    ask(other, "Third")
    expect(page.locator(".bubble").last).to_have_text("Third")
    expect(page.locator(".bubble")).to_have_count(3)
    expect(other.locator(".bubble")).to_have_count(3)


def test_stop_keeps_the_text_and_the_focus(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2000@40")
    ask(page)
    wait_until_writing(page, "word12")
    button = page.locator("#send")
    expect(button).to_have_accessible_name("Stop")
    button.focus()
    page.keyboard.press("Enter")
    wait_for_end(page)
    expect(button).to_have_accessible_name("Send")
    expect(button).to_be_focused()
    expect(page.locator(".facts")).to_contain_text("Stopped")
    kept = text_of(page)
    assert "word12" in kept
    page.reload()
    assert text_of(page) == kept


def test_escape_stops(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2000@40")
    ask(page)
    wait_until_writing(page)
    page.keyboard.press("Escape")
    expect(page.locator(".facts")).to_contain_text("Stopped")


def test_prompts_queue_in_order(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:60@40", "words:2", "words:4")
    ask(page, "First")
    wait_until_writing(page)
    ask(page, "Second")
    ask(page, "Third")
    expect(page.locator(".phase-text").nth(1)).to_have_text("Queued, next")
    expect(page.locator(".phase-text").nth(2)).to_have_text("Queued, number 2")
    wait_for_end(page)
    asked = [entry["body"]["messages"][-1]["content"] for entry in live_site.upstream.journal]
    assert asked == ["First", "Second", "Third"]
    assert text_of(page) == words_text(4).strip()


def test_signing_out_ends_the_other_tab(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    live_site.upstream.script("words:400@40")
    ask(page)
    wait_until_writing(page)
    other = context.new_page()
    other.goto("/")
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    seen = text_of(page)
    page.wait_for_timeout(700)
    assert text_of(page) == seen


def test_an_error_stays_on_its_message_and_can_be_retried(page: Page, live_site: Site) -> None:
    live_site.upstream.script("status:401", "words:6")
    ask(page)
    error = page.locator(".message-error")
    expect(error).to_contain_text("refused the site's key")
    page.reload()
    expect(error).to_contain_text("refused the site's key")
    error.get_by_role("button", name="Retry").click()
    wait_for_end(page)
    expect(answer_of(page)).to_have_text(words_text(6).strip())
    expect(page.locator(ANSWER)).to_have_count(1)
    expect(page.locator(".bubble")).to_have_count(1)


def test_without_the_bundle_the_text_streams_plainly(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    context.route("**/dist/live.js", lambda route: route.abort())
    page.reload()
    live_site.upstream.script("markdown@40")
    ask(page)
    plain = page.locator(".answer.plain")
    expect(plain).to_contain_text("**bold**")
    wait_for_end(page)
    expect(plain).to_have_count(0)
    expect(answer_of(page).locator("strong")).to_have_text("bold")


def test_the_focus_does_not_move_and_the_news_are_few(page: Page, live_site: Site) -> None:
    live_site.upstream.script("markdown@80")
    page.evaluate(WATCH)
    ask(page)
    wait_until_writing(page, "bold")
    wait_for_end(page)
    page.wait_for_timeout(300)
    assert page.evaluate("document.activeElement.id") == "prompt"
    assert page.evaluate("moves") == []
    news = page.evaluate("news")
    assert len(news) == 2
    assert news[0] == "Assistant is answering"
    assert "bold" in news[1]
    assert "**" not in news[1]


WATCH = """() => {
  document.getElementById("prompt").focus();
  window.moves = [];
  window.news = [];
  document.addEventListener("focusout", (event) => moves.push(event.target.id));
  const region = document.getElementById("announcer");
  new MutationObserver(() => region.textContent && news.push(region.textContent))
    .observe(region, { childList: true });
}"""


def test_reasoning_folds_when_the_answer_begins(page: Page, live_site: Site) -> None:
    live_site.upstream.script(
        [
            {"reasoning": "Let me think."},
            {"sleep": 1.0},
            {"delta": "So."},
            {"sleep": 0.5},
            {"finish": "stop"},
            {"done": True},
        ]
    )
    ask(page)
    thoughts = page.locator(".reasoning-text")
    expect(thoughts).to_be_visible()
    expect(thoughts).to_have_text("Let me think.")
    expect(answer_of(page)).to_have_text("So.")
    expect(thoughts).not_to_be_visible()
    wait_for_end(page)
    page.locator(".reasoning summary").click()
    expect(thoughts).to_have_text("Let me think.")


def test_a_reader_who_scrolls_up_is_left_there(page: Page, live_site: Site) -> None:
    page.set_viewport_size({"width": 800, "height": 500})
    live_site.upstream.script("words:900@150")
    ask(page)
    wait_until_writing(page, "word300")
    page.locator("#scroller").hover()
    page.mouse.wheel(0, -400)
    expect(page.locator("#to-bottom")).to_be_visible()
    before = page.evaluate("document.getElementById('scroller').scrollTop")
    page.wait_for_timeout(500)
    assert page.evaluate("document.getElementById('scroller').scrollTop") == before
    page.locator("#to-bottom").click()
    expect(page.locator("#to-bottom")).to_be_hidden()
    page.keyboard.press("Escape")


def test_a_conversation_is_renamed_found_and_deleted(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:3")
    ask(page, "About gardens")
    wait_for_end(page)
    item = page.locator(".conversation", has_text="About gardens")
    choose(page, item, "Rename")
    page.get_by_label("New title").fill("Zinnias")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Zinnias")).to_be_visible()
    page.get_by_label("Search conversations").fill("zinn")
    expect(page.locator(".conversation:visible")).to_have_count(1)
    choose(page, page.locator(".conversation:visible", has_text="Zinnias"), "Delete")
    expect(page).to_have_url(re.compile("/$"))
    expect(page.locator(".conversation", has_text="Zinnias")).to_have_count(0)


def choose(page: Page, item: Locator, what: str) -> None:
    """Choose from the menu of a conversation in the list."""
    item.hover()
    item.get_by_role("link", name="Options").click()
    page.get_by_role("menuitem", name=what).click()


def test_reading_and_sending_work_without_javascript(
    context: BrowserContext, live_site: Site
) -> None:
    live_site.upstream.script("words:5")
    browser = context.browser
    assert browser
    plain = browser.new_context(
        base_url=live_site.url, java_script_enabled=False, storage_state=context.storage_state()
    )
    page = plain.new_page()
    page.goto("/")
    page.get_by_label("Your message").fill("By form")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".bubble")).to_have_text("By form")
    expect(page.locator(".facts")).to_be_visible()
    assert text_of(page) == words_text(5).strip()
    plain.close()


def drop_sockets(page: Page) -> None:
    """Close the page's socket as a network does that goes away."""
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")


def test_the_copy_button_copies_the_markdown(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    live_site.upstream.script([{"delta": "**bold**"}, {"finish": "stop"}, {"done": True}])
    ask(page)
    wait_for_end(page)
    page.get_by_role("button", name="Copy", exact=True).last.click()
    expect(page.locator(".did")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == "**bold**"


def test_other_hosts_are_never_asked(page: Page, context: BrowserContext, live_site: Site) -> None:
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith(live_site.url), note)
    text = "![x](http://127.0.0.2:9999/?q=secret) <img src=http://127.0.0.2:9999/i>"
    live_site.upstream.script([{"delta": text}, {"sleep": 0.5}, {"finish": "stop"}, {"done": True}])
    ask(page)
    expect(answer_of(page).locator("a.image-link")).to_have_text("x")
    wait_for_end(page)
    expect(answer_of(page).locator("a.image-link")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )
    assert answer_of(page).locator("img").count() == 0
    assert asked == []


def test_a_lost_acknowledgement_does_not_ask_twice(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    lost: list[str] = []

    def lose_the_first(ws: WebSocketRoute) -> None:
        server = ws.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if '"accepted"' in str(message) and not lost:
                lost.append(str(message))
                ws.close(code=1001)
            else:
                ws.send(message)

        server.on_message(pass_on)

    context.route_web_socket("**/ws/chat/", lose_the_first)
    page.reload()
    live_site.upstream.script("words:30@20")
    ask(page)
    wait_for_end(page)
    assert lost
    assert text_of(page) == words_text(30).strip()
    expect(page.locator(".bubble")).to_have_count(1)
    assert len(live_site.upstream.journal) == 1


def test_a_phone_has_a_drawer_and_no_sideways_scrolling(
    context: BrowserContext, live_site: Site
) -> None:
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    live_site.upstream.script("markdown")
    page.goto("/")
    ask(page, "x" * 300)
    wait_for_end(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    sidebar = page.get_by_role("navigation", name="Conversations")
    expect(sidebar).to_be_hidden()
    page.locator("#open-sidebar").click()
    expect(sidebar).to_be_visible()
    expect(page.locator("#close-sidebar")).to_be_focused()
    page.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(page.locator("#open-sidebar")).to_be_focused()


def test_the_colours_chosen_by_hand_are_kept(page: Page) -> None:
    before = page.evaluate("document.documentElement.dataset.theme")
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("localStorage.getItem('theme')") is None
    # Django's admin leaves this there on its first visit.
    page.evaluate("localStorage.setItem('theme', 'auto')")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == scheme


def test_every_text_has_contrast_in_both_colours(
    page: Page, context: BrowserContext, live_site: Site
) -> None:
    live_site.upstream.script("markdown", "status:401")
    ask(page)
    wait_for_end(page)
    ask(page)
    wait_for_end(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.mouse.move(0, 0)
        assert page.evaluate(CONTRAST) == []


# The text of every visible element against the nearest ground that is painted behind it.
CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = (v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(".visually-hidden")) continue;  // For screen readers alone.
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${element.className || element.localName} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


def test_coming_back_to_a_running_answer_shows_all_of_it(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:100@40")
    ask(page)
    wait_until_writing(page, "word10")
    page.goto("/account/")
    page.wait_for_timeout(500)
    page.go_back()
    wait_for_end(page)
    expect(answer_of(page)).to_have_text(words_text(100).strip())


def test_a_server_that_has_gone_is_waited_for(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2000@40", "words:4")
    ask(page)
    wait_until_writing(page, "word10")
    live_site.restart()
    wait_for_end(page)
    expect(page.locator(".message-error")).to_contain_text("The text so far is kept")
    assert "word10" in text_of(page)
    page.get_by_role("button", name="Retry").click()
    expect(answer_of(page)).to_have_text(words_text(4).strip())

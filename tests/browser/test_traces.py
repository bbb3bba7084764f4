"""The trace of an answer in a real browser: keys, addresses, live, replay, and without a script."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.agents.base import RULES_ONLY
from tests.browser.accessible import faults_of, is_too_wide
from tests.browser.conftest import sign_in
from tests.browser.test_chat import ask, wait_for_end
from tests.servers import DaphneSite, Site
from tests.upstream import words_text

STEPS = ["prompt", "check_safety", "decide_mode", "generate_poem"]


@pytest.fixture(scope="module")
def live_site() -> Iterator[DaphneSite]:
    with DaphneSite(env={"CHAT_AGENTS": json.dumps({"router": RULES_ONLY})}) as site:
        yield site


@pytest.fixture(scope="module")
def api(live_site: Site, account: None) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {live_site.create_api_key()}"}
    with httpx.Client(base_url=f"{live_site.url}/api/v1", headers=headers) as client:
        yield client


def start(api: httpx.Client, site: Site, *script: str, agent: str = "router") -> str:
    """Ask, and return the id of the generation."""
    site.upstream.reset()
    site.upstream.script(*script)
    made = api.post("/conversations/", json={"title": "Verse"}).raise_for_status().json()
    body = {"text": "A poem about the sea", "agent": agent}
    sent = api.post(f"/conversations/{made['id']}/messages/", json=body).raise_for_status()
    return str(sent.json()["generation"]["id"])


def answer(api: httpx.Client, site: Site, *script: str, agent: str = "router") -> str:
    """Ask, wait for the end, and return the id of the generation."""
    generation = start(api, site, *script, agent=agent)
    with api.stream("GET", f"/generations/{generation}/events/", timeout=60) as events:
        for _ in events.iter_lines():
            pass
    return generation


@pytest.fixture(scope="module")
def poem(api: httpx.Client, live_site: Site) -> str:
    return answer(api, live_site, "text:generate_poem", "words:30@40")


@pytest.fixture(scope="module")
def failed(api: httpx.Client, live_site: Site) -> str:
    """An answer that breaks off in its last step."""
    return answer(api, live_site, "text:generate_poem", "eof-after:5")


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def trace(tab: Page, poem: str) -> Page:
    tab.goto(f"/g/{poem}/")
    return tab


def links(page: Page) -> Locator:
    return page.locator(".step-row a")


def shown_step(page: Page) -> Locator:
    return page.locator("#step-heading code")


def part(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name)


def test_the_chat_leads_to_the_trace_of_an_answer(context: BrowserContext, live_site: Site) -> None:
    page = context.new_page()
    page.goto("/")
    live_site.upstream.script("words:40@40")
    ask(page)
    link = page.locator(".phase .trace-link")
    expect(link).to_have_attribute("href", re.compile("^/g/"))
    wait_for_end(page)
    page.get_by_role("link", name="Trace").click()
    expect(page).to_have_title(re.compile("^Trace"))
    expect(links(page)).to_have_text(["answer"])
    page.get_by_role("link", name="Back to the conversation").click()
    expect(page).to_have_url(re.compile(r"/c/.*#m-"))


# Keys and addresses ---------------------------------------------------------------


def test_keys_move_between_steps(trace: Page) -> None:
    expect(links(trace)).to_have_text(STEPS)
    expect(shown_step(trace)).to_have_text("generate_poem")
    links(trace).last.focus()
    for key, place in (("ArrowUp", 2), ("k", 1), ("Home", 0), ("ArrowUp", 0), ("j", 1), ("End", 3)):
        trace.keyboard.press(key)
        expect(links(trace).nth(place)).to_be_focused()
        expect(links(trace).nth(place)).to_have_attribute("aria-current", "true")
        expect(trace.locator("[aria-current=true]")).to_have_count(1)
        expect(shown_step(trace)).to_have_text(STEPS[place])
        expect(trace).to_have_url(re.compile(rf"\?step={place}#"))


def test_enter_opens_a_step_and_escape_leads_back(trace: Page) -> None:
    links(trace).first.focus()
    trace.keyboard.press("Enter")
    expect(trace.locator("#step-heading")).to_be_focused()
    expect(shown_step(trace)).to_have_text("prompt")
    trace.keyboard.press("Escape")
    expect(links(trace).first).to_be_focused()


def test_letters_work_from_anywhere_unless_switched_off(trace: Page) -> None:
    trace.keyboard.press("k")
    expect(shown_step(trace)).to_have_text("decide_mode")
    trace.keyboard.press("?")
    keys = trace.get_by_role("dialog", name="Keyboard")
    expect(keys).to_be_visible()
    trace.get_by_label("Use keys that are single letters").uncheck()
    trace.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    trace.keyboard.press("k")
    trace.keyboard.press("?")
    trace.wait_for_timeout(300)
    expect(shown_step(trace)).to_have_text("decide_mode")
    expect(keys).to_be_hidden()
    trace.get_by_role("button", name="Keyboard").click()
    expect(keys).to_be_visible()
    trace.get_by_label("Use keys that are single letters").check()


def test_arrows_scroll_the_page_outside_the_table(trace: Page) -> None:
    trace.locator("#answer-heading").click()
    trace.keyboard.press("ArrowUp")
    trace.wait_for_timeout(300)
    expect(shown_step(trace)).to_have_text("generate_poem")


def test_the_address_names_the_step_and_its_part(tab: Page, poem: str) -> None:
    tab.goto(f"/g/{poem}/?step=1#code")
    expect(part(tab, "Code")).to_have_attribute("aria-selected", "true")
    expect(tab.get_by_role("tabpanel", name="Code")).to_contain_text("async def check_safety")
    expect(tab.locator("#state")).to_be_hidden()
    part(tab, "Inputs").click()
    expect(tab).to_have_url(re.compile(r"\?step=1#inputs$"))
    tab.keyboard.press("j")
    expect(shown_step(tab)).to_have_text("decide_mode")
    expect(tab).to_have_url(re.compile(r"\?step=2#inputs$"))
    tab.reload()
    expect(shown_step(tab)).to_have_text("decide_mode")
    expect(part(tab, "Inputs")).to_have_attribute("aria-selected", "true")


def test_the_parts_are_tabs(trace: Page) -> None:
    part(trace, "State").focus()
    for key, name in (("ArrowRight", "Result"), ("End", "Code"), ("ArrowRight", "State"),
                      ("ArrowLeft", "Code"), ("Home", "State")):  # fmt: skip
        trace.keyboard.press(key)
        expect(part(trace, name)).to_be_focused()
        expect(trace.get_by_role("tabpanel")).to_have_count(1)
        expect(trace.get_by_role("tabpanel", name=name)).to_be_visible()
    # One stop of the Tab key for all of them.
    trace.keyboard.press("Tab")
    expect(trace.get_by_role("tab").and_(trace.locator(":focus"))).to_have_count(0)


def test_everything_can_be_reached_by_the_tab_key_alone(trace: Page) -> None:
    reached: set[str] = set()
    for _ in range(60):
        trace.keyboard.press("Tab")
        focused = trace.evaluate("document.activeElement.closest('body [id]')?.id")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        if focused:  # Not the browser's own bar.
            assert trace.evaluate(outline) != "none", focused
            reached.add(focused)
    assert {"show-keys", "theme", "steps", "tab-state", "replay-play", "replay-seek"} <= reached
    assert {"graph", "family", "insights"} <= reached


def test_a_node_of_the_graph_opens_its_step(trace: Page) -> None:
    trace.locator(".node[data-node=check_safety]").click()
    expect(shown_step(trace)).to_have_text("check_safety")
    expect(trace.locator(".node.is-current")).to_have_attribute("data-node", "check_safety")


def test_trees_fold_and_copy(trace: Page, context: BrowserContext, live_site: Site) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=live_site.url)
    panel = trace.get_by_role("tabpanel", name="State")
    panel.get_by_role("button", name="Unfold all").click()
    expect(panel.locator(".json details:not([open])")).to_have_count(0)
    panel.get_by_role("button", name="Fold all", exact=True).click()
    expect(panel.locator(".json details[open]")).to_have_count(0)
    panel.get_by_role("button", name="Copy").click()
    expect(panel.locator("button.did")).to_be_visible()
    copied = json.loads(trace.evaluate("navigator.clipboard.readText()"))
    assert copied["mode"] == "generate_poem"
    assert copied["response"] == words_text(30)


def test_the_whole_conversation_leads_from_trace_to_trace(
    tab: Page, api: httpx.Client, live_site: Site, poem: str
) -> None:
    conversation = api.get(f"/generations/{poem}/").json()["conversation"]
    live_site.upstream.script("words:3")
    sent = api.post(f"/conversations/{conversation}/messages/", json={"text": "More", "agent": ""})
    tab.goto(f"/g/{poem}/?all")
    expect(links(tab)).to_have_text([*STEPS, "answer"])
    links(tab).nth(3).focus()
    tab.keyboard.press("ArrowDown")
    expect(tab).to_have_url(re.compile(rf"/g/{sent.json()['generation']['id']}/\?all&step=4"))
    expect(shown_step(tab)).to_have_text("answer")


# Live -------------------------------------------------------------------------------


def test_a_running_answer_is_followed_to_its_end(
    tab: Page, api: httpx.Client, live_site: Site
) -> None:
    generation = start(api, live_site, "text:generate_poem", "words:150@40")
    tab.goto(f"/g/{generation}/")
    expect(links(tab)).to_have_text(STEPS)
    expect(shown_step(tab)).to_have_text("generate_poem")
    expect(tab.locator("#step")).to_contain_text("is known when it has ended")
    expect(tab.locator("#answer-text")).to_contain_text("word10")
    expect(tab.locator("#content")).to_have_attribute("data-status", "done", timeout=30_000)
    expect(tab.locator("#announcer")).to_have_text("The answer has ended: done.")
    expect(tab.locator(".json-key").filter(has_text="response").first).to_be_visible()
    expect(tab.get_by_role("button", name="Follow latest")).to_have_count(0)
    expect(tab.get_by_role("group", name="Replay")).to_be_visible()
    assert tab.locator("#answer-text").inner_text().strip() == words_text(150).strip()


def test_who_looks_at_a_step_is_not_taken_away_from_it(
    tab: Page, api: httpx.Client, live_site: Site
) -> None:
    generation = start(api, live_site, "text:generate_poem", "words:120@40")
    tab.goto(f"/g/{generation}/")
    expect(links(tab)).to_have_count(4)
    links(tab).nth(1).focus()
    tab.keyboard.press("ArrowUp")
    follow = tab.get_by_role("button", name="Follow latest")
    expect(follow).to_have_attribute("aria-pressed", "false")
    duration = tab.locator(".step-row").last.locator(".step-figure").first
    before = duration.inner_text()
    expect(duration).not_to_have_text(before)
    expect(shown_step(tab)).to_have_text("prompt")
    expect(links(tab).first).to_be_focused()
    follow.click()
    expect(shown_step(tab)).to_have_text("generate_poem")
    expect(tab.locator("#content")).to_have_attribute("data-status", "done", timeout=30_000)


def test_a_pause_holds_the_page_still(tab: Page, api: httpx.Client, live_site: Site) -> None:
    generation = start(api, live_site, "text:generate_poem", "words:60@40")
    tab.goto(f"/g/{generation}/")
    expect(links(tab)).to_have_count(4)
    live = tab.get_by_role("button", name="Live")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "false")
    with api.stream("GET", f"/generations/{generation}/events/", timeout=60) as events:
        list(events.iter_lines())
    tab.wait_for_timeout(1500)
    expect(tab.locator("#content")).to_have_attribute("data-status", "running")
    live.click()
    expect(tab.locator("#content")).to_have_attribute("data-status", "done")


def test_staff_see_an_answer_of_others_grow_and_replay_it(
    chromium: Browser, api: httpx.Client, live_site: Site
) -> None:
    live_site.create_user("root", staff=True)
    context = chromium.new_context(base_url=live_site.url)
    cookies = live_site.login("root").items()
    context.add_cookies([{"name": n, "value": v, "url": live_site.url} for n, v in cookies])
    generation = start(api, live_site, "text:generate_poem", "words:80@40")
    page = context.new_page()
    page.goto(f"/g/{generation}/")
    expect(page.locator("#content")).to_have_attribute("data-status", "done", timeout=30_000)
    page.get_by_role("button", name="Play").click()
    expect(page.locator("#replay-text")).to_contain_text("word3")
    expect(page.get_by_role("button", name=re.compile("^Fork"))).to_have_count(0)
    context.close()


# Replay -----------------------------------------------------------------------------


def test_an_answer_is_played_again_at_its_own_speed(trace: Page, poem: str) -> None:
    trace.get_by_role("button", name="Play at its own speed").focus()
    trace.keyboard.press("Enter")
    expect(trace.locator("#announcer")).to_have_text("Replaying the answer at its own speed")
    text = trace.locator("#replay-text")
    expect(text).to_contain_text("word2")
    assert "word29" not in text.inner_text()
    expect(trace.locator(".step-row.is-playing a")).to_have_text("generate_poem")
    expect(trace.locator(".node.is-playing")).to_have_attribute("data-node", "generate_poem")
    button = trace.get_by_role("button", name="Pause")
    expect(button).to_be_focused()
    button.click()
    trace.wait_for_timeout(100)
    paused = text.inner_text()
    trace.wait_for_timeout(400)
    assert text.inner_text() == paused
    trace.get_by_label("Speed", exact=True).select_option("4")
    trace.get_by_role("button", name="Play at its own speed").click()
    expect(trace.locator("#answer-text")).to_be_visible()
    expect(text).to_be_hidden()
    expect(trace.locator(".is-playing")).to_have_count(0)


def test_any_moment_of_it_can_be_sought(trace: Page) -> None:
    seek = trace.get_by_label("Position")
    seek.focus()
    expect(trace.locator("#replay-time")).to_contain_text(" of ")
    trace.keyboard.press("Home")
    expect(trace.locator("#replay-text")).to_be_visible()
    assert trace.locator("#replay-text").inner_text() == ""
    seek.fill("900")
    whole = trace.locator("#answer-text").text_content() or ""
    shown = trace.locator("#replay-text").inner_text()
    assert 0 < len(shown) < len(whole.strip())
    assert whole.strip().startswith(shown.strip())
    expect(seek).to_have_attribute("aria-valuetext", re.compile(r" of "))
    trace.keyboard.press("End")
    expect(trace.locator("#answer-text")).to_be_visible()


def test_what_was_not_timed_is_not_played(tab: Page, poem: str, context: BrowserContext) -> None:
    context.route("**/timing/", lambda route: route.fulfill(json={"text": "x", "marks": []}))
    tab.goto(f"/g/{poem}/")
    tab.get_by_role("button", name="Play at its own speed").click()
    expect(tab.locator("#announcer")).to_have_text("The times of this answer are not known.")
    expect(tab.locator("#answer-text")).to_be_visible()


# Without a script, in every look ------------------------------------------------------


@pytest.fixture
def plain(chromium: Browser, live_site: Site, account: None) -> Iterator[Page]:
    """A signed-in page without JavaScript."""
    context = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(context, live_site)
    yield context.new_page()
    context.close()


def test_without_a_script_links_show_each_step_and_forms_fork(plain: Page, poem: str) -> None:
    plain.goto(f"/g/{poem}/")
    links(plain).nth(2).click()
    expect(shown_step(plain)).to_have_text("decide_mode")
    for heading in ("State", "Result", "Inputs", "Code"):
        expect(plain.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    after = plain.locator(".state-part", has=plain.get_by_text("After", exact=True))
    after.locator("summary").first.click()
    expect(after.locator(".json").first).to_be_visible()
    expect(plain.get_by_role("button", name=re.compile("Play|Keyboard|Copy"))).to_have_count(0)
    plain.get_by_role("button", name="Fork at step 2, decide_mode").click()
    expect(plain).to_have_url(re.compile("/c/"))
    expect(plain.locator(".bubble")).to_have_text("A poem about the sea")
    plain.goto(f"/g/{poem}/")
    expect(plain.get_by_role("heading", name="Forks")).to_be_visible()


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_accessible_and_fits(
    chromium: Browser, live_site: Site, poem: str, failed: str, colours: str, width: int
) -> None:
    context = chromium.new_context(
        base_url=live_site.url,
        viewport={"width": width, "height": 844},
        color_scheme=colours,
    )
    sign_in(context, live_site)
    page = context.new_page()
    for address in (f"/g/{poem}/", f"/g/{poem}/?step=1#code", f"/g/{failed}/", f"/g/{poem}/?all"):
        page.goto(address)
        expect(page.get_by_role("tablist")).to_be_visible()
        assert faults_of(page) == [], address
        assert not is_too_wide(page)
    page.goto(f"/g/{poem}/")
    page.keyboard.press("?")
    assert faults_of(page) == []
    context.close()


def test_what_failed_is_shown_first(tab: Page, failed: str) -> None:
    tab.goto(f"/g/{failed}/")
    expect(shown_step(tab)).to_have_text("generate_poem")
    expect(part(tab, "Error")).to_have_attribute("aria-selected", "true")
    expect(tab.get_by_role("tabpanel", name="Error")).to_contain_text("upstream_truncated")
    expect(tab.locator(".step-row.is-failed .status")).to_have_text("Failed")


def test_the_table_says_to_a_reader_what_it_shows(trace: Page) -> None:
    expect(trace.get_by_role("group", name="Steps")).to_match_aria_snapshot(
        """
        - table:
          - rowgroup:
            - row:
              - columnheader "Number"
              - columnheader "Step"
              - columnheader "Status"
              - columnheader "Timeline"
              - columnheader "Duration"
              - columnheader "First token"
              - columnheader "Speed"
          - rowgroup:
            - row /0 prompt action Done/
            - row /1 check_safety action Done/
            - row /2 decide_mode action Done/
            - row /3 generate_poem streaming Done .* ms\\/token/
        """
    )
    expect(trace.locator("svg.graph")).to_have_role("img")
    expect(trace.locator("svg.graph")).to_have_accessible_name("The graph of router")

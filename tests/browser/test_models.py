"""Who answers, chosen in a real browser: with the keys alone, and without a script."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.agents.base import RULES_ONLY
from tests.browser.accessible import is_too_wide
from tests.browser.axe import violations
from tests.browser.conftest import keeps, sign_in
from tests.browser.test_chat import answer_of, ask, wait_for_end
from tests.servers import DaphneSite, Site
from tests.upstream.modes import words_text

STEPS = ["prompt", "check_safety", "decide_mode", "generate_poem"]
POEM = ("text:generate_poem", "words:5")
SEARCH = "Search models and personas"


@pytest.fixture(scope="module")
def live_site() -> Iterator[DaphneSite]:
    agents = json.dumps({"router": RULES_ONLY})
    with DaphneSite(env={"CHAT_AGENTS": agents, "CHAT_TITLES": "off"}) as site:
        yield site


def picker(page: Page) -> Page:
    return page.locator("#picker-button")


def choose(page: Page, words: str) -> None:
    picker(page).click()
    page.get_by_label(SEARCH).fill(words)
    page.keyboard.press("Enter")


def test_the_agent_is_chosen_and_its_trace_shows_the_way_to_a_poem(
    page: Page, live_site: Site
) -> None:
    live_site.upstream.script(*POEM)
    choose(page, "router")
    expect(picker(page)).to_contain_text("router")
    ask(page, "A poem about the sea")
    wait_for_end(page)
    assert answer_of(page).inner_text().strip() == words_text(5).strip()
    page.reload()
    expect(picker(page)).to_contain_text("router")
    page.locator(".message.assistant .trace-link, .message.assistant a[href*='/g/']").first.click()
    for step in STEPS:
        expect(page.get_by_text(step).first).to_be_visible()


def test_a_choice_in_a_conversation_is_kept_with_it(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2")
    ask(page, "Plain")
    wait_for_end(page)
    expect(page).to_have_url(re.compile("/c/"))
    with page.expect_response(keeps("agent")) as kept:
        choose(page, "router")
    assert kept.value.json()["agent"] == "router"
    page.reload()
    expect(picker(page)).to_contain_text("router")
    with page.expect_response(keeps("agent")) as kept:
        choose(page, "default")
    assert kept.value.json()["agent"] == ""


def test_the_picker_is_used_by_keys_alone(page: Page) -> None:
    picker(page).focus()
    page.keyboard.press("Enter")
    search = page.get_by_label(SEARCH)
    expect(search).to_be_focused()
    before = search.get_attribute("aria-activedescendant")
    page.keyboard.press("ArrowDown")
    expect(search).not_to_have_attribute("aria-activedescendant", before or "")
    page.keyboard.press("Escape")
    expect(search).to_be_hidden()
    expect(picker(page)).to_be_focused()
    expect(picker(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    page.keyboard.type("writes a poem")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.type(" nothing at all")
    expect(page.get_by_role("status").filter(has_text="No model")).to_be_visible()
    page.keyboard.press("Enter")
    search.fill("rout")
    page.keyboard.press("Enter")
    expect(picker(page)).to_be_focused()
    expect(picker(page)).to_have_accessible_name(re.compile("Model: ?router"))
    assert page.locator("#model").evaluate("each => each.value") == "agent:router"


@pytest.mark.parametrize("width", [1200, 390])
def test_the_open_list_is_accessible_and_fits(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720})
    picker(page).click()
    box = page.locator("#picker-box").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] >= 0
    assert violations(page) == []
    assert not is_too_wide(page)


def test_a_press_beside_the_list_closes_it(page: Page) -> None:
    picker(page).click()
    expect(page.get_by_label(SEARCH)).to_be_focused()
    page.locator(".topbar").click()
    expect(page.get_by_label(SEARCH)).to_be_hidden()


def test_without_a_script_the_agent_is_chosen_in_the_form(
    chromium: Browser, live_site: Site, account: None
) -> None:
    live_site.upstream.reset()
    live_site.upstream.script("words:2", *POEM)
    context: BrowserContext = chromium.new_context(
        base_url=live_site.url, java_script_enabled=False
    )
    sign_in(context, live_site)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Your message").fill("Plain")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.assistant .answer")).to_contain_text("word1")
    page.locator("#model").select_option("agent:router")
    page.get_by_label("Your message").fill("A poem")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#model")).to_have_value("agent:router")
    expect(page.locator(".message.assistant .answer").last).to_contain_text("word4")
    context.close()


def test_parameters_are_set_in_a_dialog_and_reach_the_model(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2", "words:2")
    ask(page, "First")
    wait_for_end(page)
    page.locator("#topbar-more").click()
    page.get_by_role("menuitem", name="Model parameters").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Temperature").fill("0.25")
    dialog.get_by_label("System prompt").fill("Rhyme.")
    assert violations(page) == []
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_text("The next answers will be asked for so.")).to_be_visible()
    page.keyboard.press("Escape")
    ask(page, "Second")
    wait_for_end(page)
    asked = live_site.upstream.journal[-1]["body"]
    assert asked["temperature"] == 0.25
    assert asked["messages"][0] == {"role": "system", "content": "Rhyme."}


def test_staff_define_a_model_and_only_its_group_has_it(
    chromium: Browser, live_site: Site, account: None
) -> None:
    live_site.upstream.reset()
    live_site.create_user("root", staff=True)
    live_site.create_user("bob")
    join = "from django.contrib.auth.models import Group, User; "
    join += "User.objects.get(username='ada').groups.add(Group.objects.create(name='makers'))"
    live_site.run(join)
    tabs = {name: chromium.new_context(base_url=live_site.url) for name in ("root", "ada", "bob")}
    pages = {}
    for name, context in tabs.items():
        sign_in(context, live_site, name)
        pages[name] = context.new_page()
    admin = pages["root"]
    admin.goto("/admin/chat/servedmodel/add/")
    admin.locator("#id_name").fill("fast")
    admin.locator("#id_label").fill("Fast one")
    admin.locator("#id_description").fill("For drafts")
    admin.locator("#id_model").fill("words:3")
    admin.locator("#id_base_url").fill(live_site.upstream.base_url)
    admin.locator("#id_new_key").fill("sk-canary-browser-0123")
    admin.locator("#id_images").select_option("yes")
    admin.locator("#id_groups_from").select_option(label="makers")
    admin.locator("#id_groups_add, #id_groups_add_link").first.click()
    admin.get_by_role("button", name="Save and continue editing").click()
    expect(admin.get_by_text("One is set.")).to_be_visible()
    assert "sk-canary-browser" not in admin.content()
    admin.get_by_role("button", name="Test", exact=True).click()
    expect(admin.get_by_text("“fast” answered after")).to_be_visible()
    page = pages["ada"]
    page.goto("/")
    choose(page, "drafts")
    expect(picker(page)).to_contain_text("Fast one")
    ask(page, "Hello")
    wait_for_end(page)
    assert answer_of(page).inner_text().strip() == words_text(3).strip()
    sent = live_site.upstream.journal[-1]
    assert sent["headers"]["authorization"] == "Bearer sk-canary-browser-0123"
    pages["bob"].goto("/")
    expect(pages["bob"].locator("#model option")).not_to_have_count(0)
    assert "fast" not in (pages["bob"].locator("#model").inner_html()).lower()
    for context in tabs.values():
        context.close()

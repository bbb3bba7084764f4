"""The list of conversations and what one does with them, in a real browser."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import keeps
from tests.browser.test_chat import CONTRAST, ask, choose, text_of, wait_for_end, wait_until_writing
from tests.servers import Site
from tests.upstream.modes import words_text

PHONE = {"width": 390, "height": 844}


class Shelf:
    """Conversations of the person whose browser it is, made and read over the API."""

    def __init__(self, site: Site) -> None:
        headers = {"Authorization": f"Bearer {site.create_api_key()}"}
        self.http = httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=20)

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.http.request(method, path, **options)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def add(self, title: str, *texts: str, days: float = 0, **fields: Any) -> str:
        """Add a conversation of these texts, and return its id."""
        when = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        messages = [
            {"id": str(n), "parent": str(n - 1) if n else None, "text": text, "created_at": when,
             "role": "assistant" if n % 2 else "user"}
            for n, text in enumerate(texts or (f"About {title}", "Yes."))
        ]  # fmt: skip
        item = {"id": str(uuid4()), "title": title, "messages": messages, "created_at": when,
                "updated_at": when, **fields}  # fmt: skip
        report = self.call("POST", "/import/", json={"conversations": [item]})
        (made,) = report["items"]
        assert made["status"] == "imported", report
        return str(made["conversation"])

    def get(self, pk: str) -> Any:
        return self.call("GET", f"/conversations/{pk}/")

    def clear(self) -> None:
        while found := self.call("GET", "/conversations/", params={"limit": 200})["items"]:
            for each in found:
                path = f"/conversations/{each['id']}/"
                self.call("DELETE", path, params={"permanently": "true"})


@pytest.fixture(scope="module")
def shelf(live_site: Site, account: None) -> Iterator[Shelf]:
    shelf = Shelf(live_site)
    yield shelf
    shelf.http.close()


@pytest.fixture(autouse=True)
def empty(shelf: Shelf) -> None:
    shelf.clear()


def open_home(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")


def row(page: Page, title: str) -> Locator:
    return page.locator("#listed .conversation", has_text=title)


def titles(page: Page) -> list[str]:
    return page.locator(".conversation-title:visible").all_inner_texts()


def focused(page: Page) -> str:
    found = page.evaluate("document.activeElement.innerText || document.activeElement.id")
    return str(found).strip()


# The keyboard ----------------------------------------------------------------------


def test_a_search_is_opened_used_and_left_by_the_keyboard(page: Page, shelf: Shelf) -> None:
    shelf.add("Gardens", "Do zinnias like sun?", "They do.")
    shelf.add("Balcony", "x", "Zinnias, <b>too</b>.", days=2)
    shelf.add("Soup")
    open_home(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search conversations")).to_be_focused()
    page.keyboard.type("zinn")
    expect(page.locator(".conversation:visible")).to_have_count(2)
    assert page.locator("#found mark").all_inner_texts() == ["zinn", "Zinn"]
    expect(page.locator("#found")).to_contain_text("Zinnias, <b>too</b>.")
    expect(page.locator("#announcer")).to_have_text("2 found")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Balcony")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Search conversations")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".conversation:visible")).to_have_count(3)
    page.keyboard.type("balc")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Balcony", level=1)).to_be_visible()


def test_the_list_is_used_by_the_keyboard(page: Page, shelf: Shelf) -> None:
    ids = [shelf.add(title, days=n / 100) for n, title in enumerate(("One", "Two", "Three"))]
    open_home(page)
    row(page, "One").locator("a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("F2")
    field = page.get_by_label("New title")
    expect(field).to_be_focused()
    field.fill("Not this")
    page.keyboard.press("Escape")
    page.keyboard.press("F2")
    field.fill("Second")
    with page.expect_response(keeps("title")):
        page.keyboard.press("Enter")
    expect(row(page, "Second").locator("a").first).to_be_focused()
    assert shelf.get(ids[1])["title"] == "Second"
    page.keyboard.press("Delete")
    expect(row(page, "Second")).to_have_count(0)
    expect(row(page, "Three").locator("a").first).to_be_focused()
    expect(page.locator("#toasts")).to_contain_text("“Second” was deleted.")
    page.keyboard.press("Control+z")
    expect(row(page, "Second")).to_have_count(1)
    expect(page.locator(".toast")).to_have_count(0)
    assert titles(page) == ["One", "Second", "Three"]


def test_the_menu_is_used_by_the_keyboard(page: Page, shelf: Shelf) -> None:
    pk = shelf.add("Tea")
    open_home(page)
    more = row(page, "Tea").locator(".conversation-more")
    row(page, "Tea").locator("a").first.focus()
    page.keyboard.press("Tab")
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("p")
    expect(page.get_by_role("menuitem", name="Pin")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#listed .group").first).to_have_text("Pinned")
    assert shelf.get(pk)["pinned"]
    # It has moved, and the focus with it.
    expect(more).to_be_focused()


# Two tabs --------------------------------------------------------------------------


def test_two_tabs_are_in_step(page: Page, context: BrowserContext, shelf: Shelf) -> None:
    shelf.add("One")
    shelf.add("Two", days=1)
    shelf.add("Three", days=3)
    open_home(page)
    other = context.new_page()
    open_home(other)
    choose(page, row(page, "Three"), "Pin")
    for tab in (page, other):
        expect(tab.locator("#listed .conversation-title").first).to_have_text("Three")
    choose(other, row(other, "Two"), "Archive")
    for tab in (page, other):
        expect(row(tab, "Two")).to_have_count(0)
        expect(tab.locator(".group", has_text="Yesterday")).to_have_count(0)
    other.get_by_role("button", name="Undo").click()
    for tab in (page, other):
        expect(row(tab, "Two")).to_have_count(1)
        assert titles(tab) == ["Three", "One", "Two"]
    choose(page, row(page, "One"), "Delete")
    expect(row(other, "One")).to_have_count(0)
    expect(other.locator(".toast")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    for tab in (page, other):
        expect(row(tab, "One")).to_have_count(1)
        assert titles(tab) == ["Three", "One", "Two"]
    choose(page, row(page, "Three"), "Unpin")
    for tab in (page, other):
        expect(tab.locator("#listed .group").first).to_have_text("Today")
        assert titles(tab) == ["One", "Two", "Three"]


def test_tags_are_set_in_a_dialog_and_filter_every_tabs_list(
    page: Page, context: BrowserContext, shelf: Shelf
) -> None:
    pk = shelf.add("Roses")
    shelf.add("Invoice")
    open_home(page)
    other = context.new_page()
    open_home(other)
    choose(page, row(page, "Roses"), "Tags")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Roses")
    dialog.get_by_label("Tags, separated by commas").fill("garden, to do")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(row(page, "Roses").locator(".conversation-more")).to_be_focused()
    assert shelf.get(pk)["tags"] == ["garden", "to do"]
    other.get_by_role("link", name="to do").click()
    expect(other.locator(".conversation:visible")).to_have_count(1)
    expect(other.get_by_role("link", name="to do")).to_have_attribute("aria-current", "true")
    other.get_by_role("link", name="to do").click()
    expect(other.locator(".conversation:visible")).to_have_count(2)


# Answers elsewhere -------------------------------------------------------------------


def test_an_answer_elsewhere_is_told_quietly_and_stays_marked(
    page: Page, context: BrowserContext, live_site: Site, shelf: Shelf
) -> None:
    live_site.upstream.script("words:60@40", "words:3")
    open_home(page)
    ask(page, "About looms")
    wait_until_writing(page)
    page.get_by_role("link", name="New chat").first.click()
    expect(row(page, "About looms")).to_have_class(re.compile("running"))
    page.get_by_label("Your message").focus()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("Answer ready: About looms")
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(row(page, "About looms").locator(".unread-dot")).to_be_visible()
    page.reload()
    expect(row(page, "About looms").locator(".unread-dot")).to_be_visible()
    other = context.new_page()
    open_home(other)
    expect(row(other, "About looms").locator(".unread-dot")).to_be_visible()
    row(other, "About looms").locator("a").first.click()
    for tab in (page, other):
        expect(row(tab, "About looms").locator(".unread-dot")).to_be_hidden()
    # One that is read where it is written is no news anywhere.
    ask(other, "And then?")
    wait_for_end(other)
    page.wait_for_timeout(1200)
    expect(page.locator(".toast")).to_have_count(0)
    expect(row(page, "About looms").locator(".unread-dot")).to_be_hidden()


def test_the_notice_opens_the_conversation(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:40@40")
    open_home(page)
    ask(page, "About looms")
    wait_until_writing(page)
    page.goto("/")
    page.locator(".toast").get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", name="About looms", level=1)).to_be_visible()
    assert text_of(page) == words_text(40).strip()


# Deleting ----------------------------------------------------------------------------


def test_what_was_open_is_deleted_and_brought_back_after_a_reload(
    page: Page, live_site: Site, shelf: Shelf
) -> None:
    pk = shelf.add("Roses")
    page.goto(f"/c/{pk}/")
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")
    page.locator("#topbar-more").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page).to_have_url(f"{live_site.url}/")
    expect(page.locator(".toast")).to_contain_text("“Roses” was deleted.")
    page.reload()
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(row(page, "Roses")).to_have_count(1)
    page.reload()
    expect(page.locator(".toast")).to_have_count(0)
    assert shelf.get(pk)["title"] == "Roses"


def test_a_running_answer_is_stopped_with_its_conversation(page: Page, live_site: Site) -> None:
    live_site.upstream.script("infinite@20")
    open_home(page)
    ask(page, "Go on")
    wait_until_writing(page)
    choose(page, row(page, "Go on"), "Delete")
    expect(page).to_have_url(f"{live_site.url}/")
    (entry,) = live_site.upstream.journal
    assert live_site.upstream.wait_for(lambda _: entry["closed"] is not None)
    page.locator(".toast").get_by_role("button", name="Undo").click()
    row(page, "Go on").locator("a").first.click()
    expect(page.locator(".facts")).to_contain_text("Stopped")


# Sharing and temporary ones ---------------------------------------------------------------


def test_a_link_is_made_read_by_a_stranger_and_revoked(
    page: Page, chromium: Browser, live_site: Site, shelf: Shelf
) -> None:
    pk = shelf.add("Roses", "Which ones?", "**Old** ones. <script>x</script>")
    page.goto(f"/c/{pk}/")
    page.locator("#topbar-more").click()
    page.get_by_role("menuitem", name="Share").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("The link works").select_option(label="for a week")
    dialog.get_by_role("button", name="Make a link").click()
    address = dialog.get_by_label("Link", exact=True).input_value()
    stranger = chromium.new_context()
    refused: list[str] = []
    stranger.on("console", lambda message: refused.append(message.text))
    reader = stranger.new_page()
    reader.goto(address)
    expect(reader.get_by_role("heading", name="Roses")).to_be_visible()
    expect(reader.locator(".answer strong")).to_have_text("Old")
    assert reader.locator("form, textarea, input, button").count() == 0
    assert refused == []
    assert reader.evaluate("fetch('/').then(() => 'sent', () => 'refused')") == "refused"
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog).to_contain_text("The link does not work any more.")
    expect(dialog.get_by_label("Link", exact=True)).to_have_count(0)
    answer = reader.goto(address)
    assert answer
    assert answer.status == 404
    page.keyboard.press("Escape")
    expect(page.locator("#topbar-more")).to_be_focused()
    stranger.close()


def test_a_temporary_chat_leaves_nothing_in_the_list(
    page: Page, context: BrowserContext, live_site: Site, shelf: Shelf
) -> None:
    live_site.upstream.script("words:3", "words:4")
    shelf.add("Kept")
    other = context.new_page()
    open_home(other)
    open_home(page)
    page.get_by_role("link", name="Temporary chat").click()
    expect(page.get_by_role("heading", name="Temporary chat", level=1)).to_be_visible()
    expect(page.locator(".temporary-banner")).to_contain_text("no list, no search and no export")
    ask(page, "Hush")
    wait_for_end(page)
    expect(page.locator(".temporary-banner")).to_be_visible()
    page.reload()
    expect(page.locator(".bubble")).to_have_text("Hush")
    ask(page, "More")
    expect(page.locator(".bubble")).to_have_count(2)
    wait_for_end(page)
    for tab in (page, other):
        assert titles(tab) == ["Kept"]
        expect(tab.locator(".toast")).to_have_count(0)
    pk = page.url.rstrip("/").rsplit("/", 1)[1]
    page.goto("/")
    page.wait_for_timeout(300)
    assert shelf.get(pk)["temporary"]  # It might have been a reload.
    assert titles(page) == ["Kept"]


# Much, small, and without scripts ------------------------------------------------------------


def test_a_long_list_is_read_on_as_it_is_scrolled(page: Page, shelf: Shelf) -> None:
    for number in range(130):
        shelf.add(f"Number {number:03}", days=number)
    open_home(page)
    listed = page.locator("#listed .conversation")
    expect(listed).to_have_count(60)
    for count in (110, 130):
        page.locator("#conversations").evaluate("(box) => box.scrollTo(0, box.scrollHeight)")
        expect(listed).to_have_count(count)
    assert titles(page) == sorted(titles(page))
    groups = page.locator("#listed .group").all_inner_texts()
    assert groups[:4] == ["Today", "Yesterday", "Previous 7 days", "Previous 30 days"]
    assert len(groups) == len(set(groups))


def test_a_large_export_of_chatgpt_is_imported_in_parts(page: Page, tmp_path: Path) -> None:
    def said(name: str, parent: str | None, role: str, text: str) -> dict[str, Any]:
        noise = {"model_slug": "gpt-4o", "noise": "n" * 2000}
        return {"id": name, "parent": parent, "children": [], "message": {
            "author": {"role": role}, "metadata": noise, "recipient": "all",
            "content": {"content_type": "text", "parts": [text]},
        }}  # fmt: skip

    items: list[Any] = [
        {"title": f"Old chat {number}", "conversation_id": str(number), "create_time": 1.7e9,
         "mapping": {"u": said("u", None, "user", "Why? " + "x" * 20_000),
                     "a": said("a", "u", "assistant", "Because.")}}
        for number in range(60)
    ]  # fmt: skip
    items += [{"title": "Broken"}, {"title": "Huge", "messages": ["x" * 1_000_000]}]
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(items))
    assert file.stat().st_size > 2_000_000
    page.goto("/account/")
    for expected in ("60 imported.", "0 imported. 60 were here already."):
        page.get_by_label("A file to import").set_input_files(file)
        page.get_by_role("button", name="Import", exact=True).click()
        expect(page.locator("#import-line")).to_have_text(f"{expected} 2 failed:", timeout=30_000)
        told = page.locator("#import-failed li").all_inner_texts()
        assert sorted(line.split(":")[0] for line in told) == ["Broken", "Huge"]
    page.goto("/")
    expect(row(page, "Old chat").first).to_be_visible()


def test_on_a_phone_the_drawer_does_it_all(
    context: BrowserContext, live_site: Site, shelf: Shelf
) -> None:
    shelf.add("Roses and a very long title that has to be cut somewhere", tags=["garden"])
    shelf.add("Invoice")
    page = context.new_page()
    page.set_viewport_size(PHONE)
    open_home(page)
    page.keyboard.press("Control+k")
    field = page.get_by_label("Search conversations")
    expect(field).to_be_focused()
    field.fill("roses")
    expect(page.locator(".conversation:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    choose(page, row(page, "Roses"), "Export")
    dialog = page.get_by_role("dialog")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Markdown", exact=True).click()
    assert download.value.suggested_filename.endswith(".md")
    box = dialog.bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    choose(page, row(page, "Invoice"), "Delete")
    expect(page.locator(".toast")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation", name="Conversations")).to_be_hidden()


def test_everything_works_without_javascript(
    context: BrowserContext, live_site: Site, shelf: Shelf
) -> None:
    shelf.add("Roses", "Which?", "Old ones.")
    shelf.add("Soup")
    assert context.browser
    plain = context.browser.new_context(
        base_url=live_site.url, java_script_enabled=False, storage_state=context.storage_state()
    )
    page = plain.new_page()
    page.goto("/")
    page.get_by_label("Search conversations").fill("old")
    page.keyboard.press("Enter")
    expect(page.locator(".conversation")).to_have_count(1)
    expect(page.locator("mark")).to_have_text("Old")
    page.locator(".conversation").hover()
    page.get_by_role("link", name="Options for Roses").click()
    page.get_by_label("New title").fill("Tulips")
    page.locator("#rename").get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Pin on top").click()
    page.get_by_label("Tags, separated by commas").fill("garden")
    page.locator("#tags").get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Make a link").click()
    address = page.get_by_label("Link", exact=True).input_value()
    page.goto("/")
    expect(page.locator(".group").first).to_have_text("Pinned")
    expect(page.get_by_role("link", name="garden")).to_be_visible()
    page.goto(address)
    expect(page.locator(".answer")).to_have_text("Old ones.")
    page.goto("/")
    page.locator(".conversation", has_text="Tulips").hover()
    page.get_by_role("link", name="Options for Tulips").click()
    page.get_by_role("button", name="Delete this conversation").click()
    expect(page.locator(".conversation")).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="Tulips")).to_be_visible()
    plain.close()


def test_what_a_form_has_deleted_is_offered_back_by_the_script(page: Page, shelf: Shelf) -> None:
    pk = shelf.add("Roses")
    page.goto(f"/c/{pk}/options/")
    page.get_by_role("button", name="Delete this conversation").click()
    expect(page.locator(".toast")).to_contain_text("“Roses” was deleted.")
    expect(page.locator("#undo-banner")).to_have_count(0)
    expect(page.locator("#connection")).to_have_attribute("data-state", "online")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(row(page, "Roses")).to_have_count(1)


def test_every_text_of_menus_dialogs_and_notices_has_contrast(page: Page, shelf: Shelf) -> None:
    shelf.add("Roses", "Which ones?", "Old ones.", tags=["garden"])
    shelf.add("Soup")
    open_home(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        row(page, "Roses").hover()
        row(page, "Roses").locator(".conversation-more").click()
        assert page.evaluate(CONTRAST) == []
        page.get_by_role("menuitem", name="Share").click()
        page.get_by_role("button", name="Make a link").click()
        expect(page.get_by_label("Link", exact=True).first).to_be_visible()
        assert page.evaluate(CONTRAST) == []
        page.keyboard.press("Escape")
        page.get_by_label("Search conversations").fill("old")
        expect(page.locator("#found mark")).to_have_count(1)
        choose(page, page.locator("#found .conversation"), "Archive")
        expect(page.locator(".toast")).to_be_visible()
        page.mouse.move(600, 400)
        assert page.evaluate(CONTRAST) == []
        page.locator(".toast").get_by_role("button", name="Undo").click()
        expect(page.locator(".toast")).to_have_count(0)
        page.get_by_label("Search conversations").fill("")
        expect(row(page, "Roses")).to_be_visible()

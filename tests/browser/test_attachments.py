"""Files in a real browser: chosen, dropped, pasted, refused, and without JavaScript."""

import base64
import io
import re
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.conftest import sign_in
from tests.browser.test_chat import ask, wait_for_end
from tests.servers import Site


@pytest.fixture(autouse=True)
def models(context: BrowserContext, live_site: Site) -> None:
    live_site.upstream.models["openai"] = ["fake", "gpt-4o"]


NOTES = {"name": "notes.md", "mimeType": "text/markdown", "buffer": b"a note"}


def image(name: str = "red.png") -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def choose(page: Page, *files: dict[str, Any]) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Attach files").click()
    chooser.value.set_files(list(files))


def staged(page: Page) -> Locator:
    return page.locator("#staged .file-name")


def uploaded(page: Page, *names: str) -> None:
    expect(staged(page)).to_have_text(list(names))
    expect(page.locator("#staged progress:visible")).to_have_count(0)


def bring(page: Page, event: str, script: str) -> None:
    """Let a drop or a paste happen, with what a script puts into its data."""
    transfer = page.evaluate_handle(
        f"() => {{ const data = new DataTransfer(); {script}; return data }}"
    )
    if event == "paste":
        page.evaluate(
            """(clipboardData) => document.getElementById("prompt").dispatchEvent(
                 new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}))""",
            transfer,
        )
    else:
        page.dispatch_event("#scroller", event, {"dataTransfer": transfer})


def said(site: Site) -> Any:
    return site.upstream.journal[-1]["body"]["messages"][-1]["content"]


def test_chosen_files_go_with_the_prompt_and_are_shown_above_it(
    page: Page, live_site: Site
) -> None:
    live_site.upstream.script("words:2")
    choose(page, NOTES, {**NOTES, "name": "other.md"})
    uploaded(page, "notes.md", "other.md")
    page.get_by_role("button", name="Remove other.md").click()
    uploaded(page, "notes.md")
    ask(page, "What does it say?")
    wait_for_end(page)
    assert said(live_site) == "notes.md:\n```\na note\n```\n\nWhat does it say?"
    expect(page.locator("#staged")).to_be_hidden()
    shown = page.locator(".message.user .file-name")
    expect(shown).to_have_text(["notes.md"])
    page.reload()
    expect(shown).to_have_text(["notes.md"])


def test_files_that_are_staged_outlive_a_reload(page: Page) -> None:
    choose(page, NOTES)
    uploaded(page, "notes.md")
    page.reload()
    uploaded(page, "notes.md")


def test_dropped_files_are_attached(page: Page) -> None:
    make = 'data.items.add(new File(["dropped"], "d.txt", {type: "text/plain"}))'
    bring(page, "dragover", make)
    expect(page.locator("#drop-zone")).to_be_visible()
    bring(page, "drop", make)
    expect(page.locator("#drop-zone")).to_be_hidden()
    uploaded(page, "d.txt")


def test_a_long_text_that_is_pasted_becomes_a_file_with_a_way_back(page: Page) -> None:
    bring(page, "paste", 'data.setData("text/plain", "word ".repeat(1000))')
    uploaded(page, "pasted.txt")
    expect(page.locator("#prompt")).to_have_value("")
    page.get_by_role("button", name="Put it into the message").click()
    expect(page.locator("#staged")).to_be_hidden()
    expect(page.locator("#prompt")).to_have_value("word " * 1000)


def test_a_pasted_image_reaches_a_model_that_sees(page: Page, live_site: Site) -> None:
    live_site.upstream.script("words:2")
    data = base64.b64encode(image()["buffer"]).decode()
    bring(
        page,
        "paste",
        f'const bytes = Uint8Array.from(atob("{data}"), (c) => c.charCodeAt(0));'
        'data.items.add(new File([bytes], "image.png", {type: "image/png"}))',
    )
    uploaded(page, "image.png")
    expect(page.locator("#staged img")).to_be_visible()
    ask(page, "What is it?")
    expect(page.locator("#composer-error")).to_contain_text("image.png: ")
    expect(page.locator("#composer-error")).to_contain_text("takes no images")
    expect(page.locator("#prompt")).to_have_value("What is it?")
    uploaded(page, "image.png")
    page.locator("#model").select_option("openai:gpt-4o", force=True)
    ask(page, "What is it?")
    wait_for_end(page)
    text, picture = said(live_site)
    assert text["text"].endswith("What is it?")
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")
    expect(page.locator(".message.user .files img")).to_be_visible()


def test_what_cannot_be_taken_is_named_and_nothing_else_is_lost(page: Page) -> None:
    page.locator("#prompt").fill("My text")
    choose(
        page,
        NOTES,
        {"name": "long.txt", "mimeType": "text/plain", "buffer": b"a" * 600_000},
        {"name": "wrong.bin", "mimeType": "application/x", "buffer": b"\x00\xff"},
    )
    error = page.locator("#composer-error")
    expect(error).to_contain_text("wrong.bin: this is neither text nor an image")
    uploaded(page, "notes.md")
    expect(page.locator("#prompt")).to_have_value("My text")
    choose(page, {"name": "long.txt", "mimeType": "text/plain", "buffer": b"a" * 600_000})
    expect(error).to_have_text(re.compile("long.txt: it has 586 KB; at most 512 KB"))


@pytest.mark.parametrize("start", ["/", "again"])
def test_files_are_sent_without_javascript(
    chromium: Browser, live_site: Site, account: None, start: str
) -> None:
    live_site.upstream.reset()
    live_site.upstream.script("words:2", "words:2")
    context = chromium.new_context(base_url=live_site.url, java_script_enabled=False)
    sign_in(context, live_site)
    page = context.new_page()
    page.goto("/")
    for text in ["First", "Second"] if start == "again" else ["First"]:
        page.get_by_label("Your message").fill(text)
        page.locator("input[name=files]").set_input_files([NOTES])
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".message.user .file-name").last).to_have_text("notes.md")
        expect(page.locator(".bubble").last).to_have_text(text)
    context.close()

"""
Take the pictures of `docs/images`: `python -m scripts.screenshots [NAME …]`.

Starts a site of its own with the demonstration model, which writes at a human
pace, and a model server that fails to order; fills it, and photographs each
state in light, in dark and on a phone. Needs Chromium, or its path in CHROMIUM.
"""

# ruff: noqa: T201 - A command for people.
import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import DaphneSite, Site

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DEMO = {"CHAT_MODEL": "demo", "OLLAMA_HOST": "", "CHAT_MESSAGES_PER_MINUTE": "1000"}
QUESTION = "Explain how tides work"
EARLIER = (
    "Compare tea and coffee in a table",
    "Write a haiku about autumn",
    "How do I make pasta for four?",
    "Why does the tide come twice a day?",
)
POEM = "Write a poem about the sea"
BROKEN = "openai:gpt-4.1-mini"
BREAKS_OFF = [
    {"delta": "The highest tides are where a bay is shaped like a funnel: "},
    {"delta": "the **Bay of Fundy** in Canada has up to 16 metres, "},
    {"raw": 'data: {"error": {"message": "The server is overloaded."}}\n\n'},
]
PERSONAS: tuple[dict[str, Any], ...] = (
    {
        "name": "Editor",
        "description": "Corrects a text and says why",
        "system_prompt": "Correct the text. Then list what was changed, and why, in a table.",
        "starters": ["Correct this letter", "Make this paragraph shorter"],
    },
    {
        "name": "Tutor",
        "description": "Asks back until it is understood",
        "system_prompt": "Explain step by step. End with one question that checks the step.",
        "starters": ["Explain fractions", "Why is the sky blue?"],
    },
)
DESKTOP = {"width": 1120, "height": 900}
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
COLOURS = 256  # Of a picture: text and even areas need no more, and it is half as large.
MAX_BYTES = 150_000


@dataclass
class Scene:
    """A site with something in it."""

    site: Site
    api: httpx.Client
    tides: str  # Addresses of pages.
    trace: str

    def converse(self, text: str, **fields: Any) -> str:
        """Return the address of a new conversation with an answer to a prompt."""
        conversation = self.api.post("/conversations/", json={}).json()["id"]
        self.answer(conversation, text, **fields)
        return f"/c/{conversation}/"

    def answer(self, conversation: str, text: str, **fields: Any) -> dict[str, Any]:
        body = {"text": text, **fields}
        answer = self.api.post(f"/conversations/{conversation}/messages/", json=body)
        sent = answer.raise_for_status().json()
        self.wait_for(sent["generation"]["id"])
        return dict(sent)

    def conversations(self) -> set[str]:
        return {each["id"] for each in self.api.get("/conversations/").json()["items"]}

    def leave_only(self, conversations: set[str]) -> None:
        """Delete what was made for a picture, and stop what runs in it."""
        for each in self.conversations() - conversations:
            self.api.delete(f"/conversations/{each}/", params={"permanently": "true"})

    def wait_for(self, generation: str) -> None:
        with self.api.stream("GET", f"/generations/{generation}/events/", timeout=60) as events:
            for _ in events.iter_lines():
                pass


def fill(site: Site) -> Scene:
    """Have somebody talk, rate and make personas."""
    headers = {"Authorization": f"Bearer {site.create_api_key('ada')}"}
    api = httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=60)
    scene = Scene(site, api, tides="", trace="")
    for persona in PERSONAS:
        api.post("/personas/", json=persona).raise_for_status()
    for prompt in EARLIER:
        scene.converse(prompt)
    scene.tides = scene.converse(QUESTION)
    [*_, answer] = api.get(f"/conversations/{scene.tides[3:-1]}/messages/").json()["items"]
    opinion = {"value": 1, "reasons": ["clear", "thorough"]}
    api.put(f"/messages/{answer['id']}/rating/", json=opinion).raise_for_status()
    conversation = api.post("/conversations/", json={"title": "The sea"}).json()["id"]
    sent = scene.answer(conversation, POEM, agent="router")
    scene.trace = f"/g/{sent['generation']['id']}/"
    return scene


def chat(page: Page, scene: Scene) -> None:
    page.goto(scene.tides)
    expect(page.locator(".answer table")).to_be_visible()
    page.locator(".answer pre").last.scroll_into_view_if_needed()


def empty(page: Page, scene: Scene) -> None:
    page.goto("/")


def begin(page: Page, text: str) -> None:
    page.goto("/")
    page.get_by_label("Your message").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator(".message.assistant[aria-busy] .answer p").first).to_be_visible()


def streaming(page: Page, scene: Scene) -> None:
    begin(page, QUESTION)
    page.wait_for_timeout(3000)


def queue(page: Page, scene: Scene) -> None:
    begin(page, QUESTION)
    for prompt in ("And why is it higher at full moon?", "Summarise it for a child"):
        page.get_by_label("Your message").fill(prompt)
        page.keyboard.press("Enter")
        expect(page.locator(".queued", has_text=prompt)).to_be_visible()


def tree(page: Page, scene: Scene) -> None:
    page.goto(scene.converse("Write a haiku about autumn"))
    page.get_by_role("button", name="Answer again", exact=True).click()
    expect(page.locator(".message.assistant .pager")).to_contain_text("2/2", timeout=20_000)
    expect(page.locator(".message.assistant[aria-busy]")).to_have_count(0, timeout=30_000)
    page.get_by_role("button", name="With another model …").click()


def error(page: Page, scene: Scene) -> None:
    scene.site.upstream.script(BREAKS_OFF)
    page.goto(scene.converse("Which harbours have the highest tides?", model=BROKEN))
    expect(page.locator(".message-error")).to_be_visible()


def search(page: Page, scene: Scene) -> None:
    page.goto(scene.tides)
    if page.viewport_size == PHONE:
        page.locator("#open-sidebar").click()
    page.get_by_label("Search conversations").fill("tide")
    expect(page.locator("#found mark").first).to_be_visible()


def picker(page: Page, scene: Scene) -> None:
    page.goto("/")
    page.locator("#picker-button").click()
    expect(page.get_by_role("option", name="Tutor")).to_be_visible()


def persona(page: Page, scene: Scene) -> None:
    found = scene.api.get("/personas/").json()["items"]
    [tutor] = [each for each in found if each["name"] == "Tutor"]
    page.goto(f"/personas/{tutor['id']}/")


def about(page: Page, scene: Scene) -> None:
    page.goto(scene.tides)
    page.locator("[data-action=about]").last.click()
    expect(page.locator("dialog[open] dl").first).to_be_visible()


def trace(page: Page, scene: Scene) -> None:
    page.set_viewport_size(WIDE if page.viewport_size == DESKTOP else PHONE)
    page.goto(scene.trace)
    expect(page.locator(".step-row")).to_have_count(4)


def admin(page: Page, scene: Scene) -> None:
    page.goto("/admin/chat/usage/report/?days=30")


STATES: tuple[Callable[[Page, Scene], None], ...] = (
    chat,
    empty,
    streaming,
    queue,
    tree,
    error,
    search,
    picker,
    persona,
    about,
    trace,
    admin,
)
LOOKS = (("light", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light"))


def main(names: list[str]) -> int:
    if not CHROMIUM:
        print("No Chromium here; set CHROMIUM to its path.")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with DaphneSite(env=DEMO) as site, sync_playwright() as playwright:
        site.upstream.models["openai"] = [BROKEN.removeprefix("openai:"), "gpt-4.1"]
        site.create_user("ada", staff=True)
        scene = fill(site)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        kept = scene.conversations()
        for state in STATES:
            for look, size, colours in LOOKS:
                if names and state.__name__ not in names:
                    continue
                page = open_page(browser, site, size, colours)
                state(page, scene)
                save(page, f"{state.__name__}-{look}")
                page.context.close()
                scene.leave_only(kept)
        browser.close()
    return 0


def open_page(browser: Browser, site: Site, size: dict[str, int], colours: str) -> Page:
    """Return a page of a new, signed-in profile."""
    context = browser.new_context(
        base_url=site.url, viewport=size, color_scheme=colours, reduced_motion="reduce"
    )
    cookies = site.login().items()
    context.add_cookies([{"name": n, "value": v, "url": site.url} for n, v in cookies])
    return context.new_page()


def save(page: Page, name: str) -> None:
    page.wait_for_timeout(500)
    path = IMAGES / f"{name}.png"
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {size // 1000} KB{' - too large' if size > MAX_BYTES else ''}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

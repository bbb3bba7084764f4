"""
Take the pictures of `docs/images`: `python -m scripts.screenshots`.

Starts a site of its own with the demonstration model, asks one question, and
photographs the answer, which is written at a human pace; and the trace of
another. Needs Chromium, or its path in CHROMIUM.
"""

# ruff: noqa: T201 - A command for people.
import os
import shutil
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.servers import DaphneSite, Site

IMAGES = Path(__file__).resolve().parent.parent / "docs/images"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DEMO = {"CHAT_MODEL": "demo", "OPENAI_API_KEY": None, "OPENAI_BASE_URL": None, "OLLAMA_HOST": ""}
EARLIER = ("Compare tea and coffee in a table", "Write a haiku about autumn")
QUESTION = "Explain how tides work"
POEM = "Write a poem about the sea"
DESKTOP = {"width": 1120, "height": 900}
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
MAX_BYTES = 150_000


def main() -> int:
    if not CHROMIUM:
        print("No Chromium here; set CHROMIUM to its path.")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with DaphneSite(env=DEMO) as site, sync_playwright() as playwright:
        site.create_user("ada")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = open_page(browser, site, DESKTOP, "light")
        for prompt in (*EARLIER, QUESTION):
            page.goto("/")
            ask(page, prompt)
        address = page.url
        take(page, "chat-light")
        for name, size, colours in (("chat-dark", DESKTOP, "dark"), ("chat-phone", PHONE, "light")):
            page = open_page(browser, site, size, colours)
            page.goto(address)
            take(page, name)
        trace = answer_by_agent(site)
        for name, size, colours in (
            ("trace-light", WIDE, "light"),
            ("trace-dark", WIDE, "dark"),
            ("trace-phone", PHONE, "light"),
        ):
            page = open_page(browser, site, size, colours)
            page.goto(trace)
            expect(page.locator(".step-row")).to_have_count(4)
            save(page, name)
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


def ask(page: Page, prompt: str) -> None:
    """Send a prompt and wait until it is answered."""
    page.get_by_label("Your message").fill(prompt)
    page.keyboard.press("Enter")
    expect(page.locator(".message.assistant")).to_have_count(1, timeout=20_000)
    expect(page.locator(".message.assistant[aria-busy]")).to_have_count(0, timeout=60_000)


def take(page: Page, name: str) -> None:
    """Photograph the window, with code and table of the answer in it."""
    expect(page.locator(".answer table")).to_be_visible()
    page.locator(".answer pre").last.scroll_into_view_if_needed()
    save(page, name)


def answer_by_agent(site: Site) -> str:
    """Have a poem written by the router, and return the address of its trace."""
    headers = {"Authorization": f"Bearer {site.create_api_key('ada')}"}
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers) as api:
        conversation = api.post("/conversations/", json={"title": "The sea"}).json()["id"]
        body = {"text": POEM, "agent": "router"}
        sent = api.post(f"/conversations/{conversation}/messages/", json=body).json()
        generation = sent["generation"]["id"]
        with api.stream("GET", f"/generations/{generation}/events/", timeout=60) as events:
            for _ in events.iter_lines():
                pass
    return f"/g/{generation}/"


def save(page: Page, name: str) -> None:
    page.wait_for_timeout(500)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path.name}: {size // 1000} KB{' - too large' if size > MAX_BYTES else ''}")


if __name__ == "__main__":
    sys.exit(main())

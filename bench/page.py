"""P10: the page in Chromium while a long answer is written on it."""

import os
import shutil
from contextlib import AbstractContextManager
from typing import Any

from bench import stamps
from bench.bed import Bed
from bench.process import NotStarted
from bench.servers import Server, running

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
TOKENS, RATE = 10_000, 500
MOST_MS = 120_000
# A browser tells of tasks that took 50 ms or more, and of no others.
WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) tasks.push([startTime, duration]);
  }).observe({ type: "longtask" });
}"""
ENDED = "() => document.querySelectorAll('.message.assistant:not([aria-busy])').length === 1"


def page(bed: Bed, server: Server) -> dict[str, Any]:
    """Ask for 10,000 tokens of Markdown, then for as many in one paragraph; watch both."""
    if not CHROMIUM:
        raise NotStarted("no Chromium; set CHROMIUM to its path")
    with running(server, upstream=bed.port, fill=("grown", "20", "0")) as live:
        cookie = live.keys[1]
        address = f"http://127.0.0.1:{live.port}/"
        with chromium() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            name, _, value = cookie.partition("=")
            context = browser.new_context(base_url=address)
            context.add_cookies([{"name": name, "value": value, "url": address}])
            prose = tasks_of(context, stamps.prompt(tokens=TOKENS, rate=RATE) + "#prose")
            paragraph = tasks_of(context, stamps.prompt(tokens=TOKENS, rate=RATE))
            browser.close()
    return {
        "failures": {},
        "answers": 2,
        "longest": max(prose, default=0.0),
        "over": len(prose),
        "paragraph_longest": max(paragraph, default=0.0),
        "paragraph_over": len(paragraph),
    }


def chromium() -> AbstractContextManager[Any]:
    """Return playwright; only this table needs it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NotStarted("playwright is not installed") from None
    found: AbstractContextManager[Any] = sync_playwright()
    return found


def tasks_of(context: Any, prompt: str) -> list[float]:
    """Return the milliseconds of each long task from the question until the answer has settled."""
    tab = context.new_page()
    tab.goto("/")
    tab.get_by_label("Your message").fill(prompt)
    tab.wait_for_timeout(1000)  # The page's own start is not what is measured.
    tab.evaluate(WATCH)
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".message.assistant")
    tab.wait_for_function(ENDED, timeout=MOST_MS)
    tab.wait_for_timeout(500)
    found: list[list[float]] = tab.evaluate("tasks")
    tab.close()
    return [duration for _, duration in found if duration > 50]

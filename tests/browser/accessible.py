"""What a page owes those who read it by other means than looking or pointing, checked in it."""

from pathlib import Path

from playwright.sync_api import Page

CHECK = Path(__file__).with_suffix(".js").read_text()


def faults_of(page: Page) -> list[str]:
    """Return what is wrong with the page as it is now."""
    found: list[str] = page.evaluate(CHECK)
    return found


def is_too_wide(page: Page) -> bool:
    """Whether the page itself has to be scrolled sideways."""
    script = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    return bool(page.evaluate(script))

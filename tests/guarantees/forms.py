"""Forms as a browser sends them: every field as the page shows it, but for what is changed."""

from html.parser import HTMLParser
from typing import Any

import httpx


class _Fields(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self.select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        field: dict[str, Any] = dict(attrs)
        if tag == "select":
            self.select = field.get("name", "")
        elif tag == "option" and "selected" in field:
            self.found.setdefault(self.select, []).append(field["value"])
        elif tag == "input" and field.get("name"):
            is_box = field.get("type") in {"checkbox", "radio"}
            if field.get("type") == "submit" or (is_box and "checked" not in field):
                return
            value = field.get("value", "on" if is_box else "")
            self.found.setdefault(field["name"], []).append(value or "")


def submit(browser: httpx.Client, path: str, **changes: Any) -> httpx.Response:
    """Post a page's form back to it. A value of None leaves a field out."""
    page = browser.get(path).raise_for_status()
    parser = _Fields()
    parser.feed(page.text)
    data = {name: value for name, value in (parser.found | changes).items() if value is not None}
    data.pop("csrfmiddlewaretoken", None)  # It goes in the header.
    answer = browser.post(path, data=data)
    assert answer.status_code == 302, answer.text
    return answer

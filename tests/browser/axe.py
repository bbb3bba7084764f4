"""axe-core, run in a page under the page's own policy."""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page

AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
RUN = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags } });
  const told = (id, { html }) => `${id}: ${html.slice(0, 160)}`;
  // An open menu lies above the page, beside the button that names it: it is in no landmark.
  const isMenu = (id, { html }) => id === "region" && / popover=/.test(html);
  return violations.flatMap(({ id, nodes }) => nodes
    .filter((node) => !isMenu(id, node))
    .map((node) => told(id, node)));
}"""


def violations(page: Page | Frame) -> list[str]:
    """Return what axe finds in the page, or in one of its frames, as it is now."""
    if not AXE.exists():
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up("axe-core is not here: `npm ci` brings it.")
    if not page.evaluate("typeof axe === 'object'"):
        # Not by a script element, which the policy would rightly refuse.
        page.evaluate(f"() => {{ {AXE.read_text()} }}")
    found: Any = page.evaluate(RUN)
    return [str(each) for each in found]

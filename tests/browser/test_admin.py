"""The admin's own pages in a real browser: light, dark and on a phone, and one that goes on."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.accessible import is_too_wide
from tests.browser.axe import violations
from tests.browser.conftest import is_refusal
from tests.servers import Site

USAGE, RUNNING = "/admin/chat/usage/report/", "/admin/chat/generation/running/"
FILL = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from chat.models import Usage
from chat.models.usage import NANO, today
users = [get_user_model().objects.get(username=name) for name in ("ada", "root")]
for n in range(80):
    day = today() - timedelta(days=n // 3)
    Usage.objects.create(
        day=day, user=users[n % 2], model=f"model-{n % 7}", answers=1 + n % 5,
        currency="EUR", cost=NANO * (n % 9), input_tokens=900 * n, output_tokens=100 * n + 1)
"""


@pytest.fixture(scope="module")
def staff_site(live_site: Site) -> Site:
    live_site.create_user("root", staff=True)
    live_site.create_user("ada")
    live_site.run(FILL)
    answer(live_site)  # Its status and its first token's time are figures of their own.
    return live_site


def answer(site: Site) -> None:
    """Have one answer given, to its end."""
    headers = bearer(site.create_api_key("ada"))
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers) as api:
        conversation = api.post("/conversations/", json={"title": "Shuttles"}).json()["id"]
        with api.stream(
            "POST",
            f"/conversations/{conversation}/messages/",
            json={"text": "Say something", "model": "openai:words:3"},
            headers={"Accept": "text/event-stream"},
        ) as events:
            assert "event: done" in "".join(events.iter_text())


@pytest.fixture(params=["light", "dark", "phone"])
def tab(request: pytest.FixtureRequest, chromium: Browser, staff_site: Site) -> Iterator[Page]:
    """A page of somebody of the staff; what its policy refuses fails the test."""
    is_phone = request.param == "phone"
    context = chromium.new_context(
        base_url=staff_site.url,
        color_scheme="dark" if request.param == "dark" else "light",
        viewport={"width": 390 if is_phone else 1280, "height": 844},
    )
    cookies = staff_site.login("root")
    context.add_cookies(
        [{"name": n, "value": v, "url": staff_site.url} for n, v in cookies.items()]
    )
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    # What has no address is axe's own: it reads styles that import others in a style of its own.
    context.on(
        "console",
        lambda said: is_refusal(said) and said.location["url"] and wrong.append(said.text),
    )
    yield context.new_page()
    context.close()
    assert wrong == []


def ours(page: Page) -> list[str]:
    """Return what axe finds, without what Django's own frame of the page has."""
    frames = ("nav-sidebar", "nav-filter", "toggle-nav", "user-tools", 'id="header"', "<footer")
    return [each for each in violations(page) if not any(frame in each for frame in frames)]


def test_the_charts_can_be_seen_by_everybody(tab: Page) -> None:
    tab.goto(f"{USAGE}?days=30")
    figures = tab.get_by_role("img")
    assert figures.count() == 5
    expect(tab.get_by_role("img", name="Tokens by day and model")).to_be_visible()
    for chart in figures.all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 250
    tab.get_by_text("As a table").first.click()
    expect(tab.get_by_role("columnheader", name="Other models")).to_be_visible()
    assert ours(tab) == []
    assert not is_too_wide(tab)
    tab.get_by_role("link", name="7 days").click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text("7 days")


def test_what_runs_is_followed_and_stopped(tab: Page, staff_site: Site) -> None:
    staff_site.upstream.reset()
    staff_site.upstream.script("infinite@40")
    tab.goto(RUNNING)
    expect(tab.locator("#running")).to_contain_text("0 generations run or wait.")
    key = staff_site.create_api_key("ada")
    with httpx.Client(base_url=f"{staff_site.url}/api/v1", headers=bearer(key)) as api:
        conversation = api.post("/conversations/", json={"title": "Looms"}).json()["id"]
        api.post(f"/conversations/{conversation}/messages/", json={"text": "Go on"})
    row = tab.get_by_role("row", name="Looms")
    expect(row).to_contain_text("Running")  # By itself: nobody has reloaded the page.
    tokens = row.get_by_role("cell").nth(4)
    before = tokens.inner_text()
    expect(tokens).not_to_have_text(before)
    assert ours(tab) == []
    assert not is_too_wide(tab)
    row.get_by_role("button", name="Stop Looms").click()
    expect(tab.get_by_text("The generation was stopped.")).to_be_visible()
    expect(row).to_have_count(0)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


DRY_RUN = "/admin/chat/retentionrule/dry-run/"
OLD = """
from django.contrib.auth import get_user_model
from chat.models import RetentionRule
from tests.generations.test_retention import make_old
ada = get_user_model().objects.get(username="ada")
if not RetentionRule.objects.exists():
    for n in range(12):
        make_old(ada, f"Old looms {n}")
    RetentionRule.objects.create(name="What nobody reads", days=30, is_on=False)
    RetentionRule.objects.create(name="Files of a year", days=365, takes="files")
"""


def test_a_dry_run_can_be_read_and_confirmed_by_everybody(tab: Page, staff_site: Site) -> None:
    staff_site.run(OLD)
    tab.goto(DRY_RUN)
    expect(tab.get_by_role("heading", name="What nobody reads")).to_be_visible()
    tab.get_by_text("Those unused for longest").first.click()
    tab.get_by_text("Of 1 user").first.click()
    expect(tab.get_by_role("link", name="Old looms 0")).to_be_visible()
    expect(tab.get_by_text("It would delete nothing.")).to_be_visible()
    assert ours(tab) == []
    assert not is_too_wide(tab)
    # A press alone does nothing: the browser asks for the tick.
    tab.get_by_role("button", name="Run now").first.click()
    assert tab.url.endswith(DRY_RUN)
    expect(tab.get_by_label("Delete this now, for good").first).to_be_focused()


MODELS = """
from django.contrib.auth.models import Group
from chat.models import ServedModel
group, _ = Group.objects.get_or_create(name="makers")
row, _ = ServedModel.objects.get_or_create(
    name="fast", defaults={"label": "Fast one", "description": "For drafts", "base_url": "{url}"}
)
row.set_key("sk-canary-page")
row.save()
row.groups.add(group)
print("MODEL", row.pk)
"""


# Of every list and form of Django's admin: filters, the way to a page, a list of choices.
DJANGOS = (
    *('href="?', "help-tooltip"),
    *('href="/admin/">', 'href="/admin/chat/">', 'href="/admin/chat/servedmodel/">'),
)


def found_in(page: Page) -> list[str]:
    """Return what axe finds in what is ours of a list or a form."""
    return [each for each in ours(page) if not any(part in each for part in DJANGOS)]


def test_models_are_listed_and_defined_by_everybody(tab: Page, staff_site: Site) -> None:
    source = MODELS.replace("{url}", staff_site.upstream.base_url)
    pk = staff_site.manage("shell", "-v0", "-c", source).partition("MODEL ")[2].strip()
    for path in ("", f"{pk}/change/", "add/"):
        tab.goto(f"/admin/chat/servedmodel/{path}")
        expect(tab.get_by_role("heading", level=1).last).to_be_visible()
        assert found_in(tab) == [], path
        assert not is_too_wide(tab), path
        assert "sk-canary-page" not in tab.content()
    # A refused form says at its field what is wrong.
    tab.get_by_label("Name:").fill("no spaces")
    tab.get_by_role("button", name="Save", exact=True).click()
    expect(tab.locator(".errorlist").first).to_be_visible()
    assert found_in(tab) == []

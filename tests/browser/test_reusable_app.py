"""`{% chat_embed %}` in a page of somebody else's project, in a real browser."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser.accessible import is_too_wide
from tests.browser.axe import violations
from tests.guarantees.sites import sign_up
from tests.project import Project
from tests.upstream.modes import words_text


@pytest.fixture(scope="module")
def session(project: Project) -> str:
    (grace,) = sign_up(project.chat, "grace")
    return grace.session


@pytest.fixture
def page(chromium: Browser, project: Project, session: str) -> Iterator[Page]:
    """The project's page, with two chats; what is reported as wrong in it fails the test."""
    project.upstream.reset()
    with closing(chromium.new_context(base_url=project.url)) as context:
        context.add_cookies([{"name": "sessionid", "value": session, "url": project.url}])
        wrong: list[str] = []
        context.on("weberror", lambda error: wrong.append(str(error.error)))
        page = context.new_page()
        page.goto("/")
        for number in range(2):  # Their scripts have run.
            expect(frame(page, number).locator("#picker-button")).to_be_visible()
        yield page
    assert wrong == []


def frame(page: Page, number: int) -> FrameLocator:
    return page.frame_locator("iframe").nth(number)


def prompt(chat: FrameLocator):
    return chat.get_by_label("Your message")


def ask(chat: FrameLocator, text: str) -> None:
    prompt(chat).fill(text)
    prompt(chat).press("Enter")


def answer(chat: FrameLocator):
    return chat.locator(".message.assistant .answer")


def wait_for_end(chat: FrameLocator) -> None:
    expect(chat.locator(".message.assistant[aria-busy]")).to_have_count(0)


def test_an_answer_streams_in_the_frame_and_the_page_stays(page: Page, project: Project) -> None:
    project.upstream.script("words:60@30")
    chat = frame(page, 0)
    ask(chat, "Hello")
    expect(answer(chat)).to_contain_text("word3")
    expect(chat.locator(".message.assistant")).to_have_attribute("aria-busy", "true")
    wait_for_end(chat)
    expect(answer(chat)).to_have_text(words_text(60).strip())
    assert page.url == f"{project.url}/"
    assert re.search(r"/chat/embed/[-0-9a-f]{36}/$", page.frames[1].url)
    assert violations(page) == []
    assert violations(page.frames[1]) == []


def test_two_chats_in_a_page_do_not_disturb_each_other(page: Page, project: Project) -> None:
    project.upstream.script("text:First", "text:Second")
    one, other = frame(page, 0), frame(page, 1)
    prompt(other).fill("Half a thought")
    ask(one, "For the one")
    wait_for_end(one)
    expect(answer(one)).to_have_text("First")
    expect(prompt(other)).to_have_value("Half a thought")
    expect(other.locator(".message")).to_have_count(0)
    prompt(other).press("Enter")
    expect(answer(other)).to_have_text("Second")
    wait_for_end(other)
    expect(answer(one)).to_have_text("First")
    expect(one.locator(".bubble")).to_have_text("For the one")
    expect(other.locator(".bubble")).to_have_text("Half a thought")
    assert len({each.url for each in page.frames}) == 3


def test_what_is_typed_in_one_is_after_a_reload_in_that_one_alone(page: Page) -> None:
    prompt(frame(page, 0)).fill("For the one")
    prompt(frame(page, 1)).fill("For the other")
    page.reload()
    expect(prompt(frame(page, 0))).to_have_value("For the one")
    expect(prompt(frame(page, 1))).to_have_value("For the other")
    prompt(frame(page, 0)).fill("")
    page.reload()
    expect(prompt(frame(page, 1))).to_have_value("For the other")
    expect(prompt(frame(page, 0))).to_have_value("")
    prompt(frame(page, 1)).fill("")


def test_keys_for_the_list_of_conversations_lead_nowhere_in_a_frame(page: Page) -> None:
    prompt(frame(page, 0)).press("Control+Shift+Y")
    frame(page, 0).locator("#scroller").press("?")
    keys = frame(page, 0).get_by_role("dialog", name="Keyboard shortcuts")
    expect(keys).to_contain_text("copy the last answer")
    expect(keys).not_to_contain_text("temporary chat")
    expect(keys).not_to_contain_text("list of conversations")


def test_whoever_is_signed_out_sees_a_link_to_sign_in(page: Page) -> None:
    page.context.clear_cookies()
    page.reload()
    expect(page.locator("iframe")).to_have_count(0)
    page.get_by_role("link", name="Sign in to chat").first.click()
    expect(page).to_have_url(re.compile(r"/admin/login/\?next=/chat/$"))


def test_the_frames_fit_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    expect(prompt(frame(page, 0))).to_be_visible()
    assert not is_too_wide(page)
    assert not page.frames[1].evaluate("document.documentElement.scrollWidth > innerWidth")

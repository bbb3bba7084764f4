"""One answer in four clients: the OpenAI SDK, the page, the AI SDK's WebSocket, and its trace."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import openai
import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_chat import answer_of, text_of, wait_for_end, wait_until_writing
from tests.clients.node import Node
from tests.dialects.ai_sdk import Client
from tests.dialects.ai_sdk import text_of as text_of_message
from tests.servers import DaphneSite, Site, UvicornSite


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def live_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with request.param() as site:
        yield site


@pytest.fixture
def key(live_site: Site, account: None) -> str:
    return str(live_site.create_api_key())


@pytest.fixture
def ai_sdk(node: Node, live_site: Site, key: str) -> Iterator[Client]:
    with node.open("ai_sdk.mjs", 7) as dialogue:
        client = Client(dialogue, live_site, SimpleNamespace(key=key))
        yield client
        client.hang_up()


def test_begun_by_the_openai_sdk_watched_here_stopped_by_the_ai_sdk_read_with_its_trace(
    page: Page, live_site: Site, key: str, ai_sdk: Client
) -> None:
    with openai.OpenAI(base_url=f"{live_site.url}/v1", api_key=key, max_retries=0) as official:
        stream = official.chat.completions.create(
            model="openai:infinite@50",
            messages=[{"role": "user", "content": "Tell me everything"}],
            stream=True,
        )
        begun = iter(stream)
        next(begun)

        # It comes up in the page by itself, and is watched there.
        page.get_by_role("link", name="Tell me everything").first.click()
        wait_until_writing(page)
        conversation = re.search(r"/c/([0-9a-f-]{36})", page.url)
        assert conversation

        chat = ai_sdk.socket_chat(conversation[1])
        chat.resume()
        chat.until(30)
        seen = text_of_message(chat.stop()["messages"][-1])

        rest = list(begun)
    assert rest[-1].choices[0].finish_reason == "stop"
    wait_for_end(page)
    kept = text_of(page)
    assert kept.startswith(seen.strip())
    page.reload()
    assert text_of(page) == kept
    assert answer_of(page).count() == 1

    page.get_by_role("link", name="Trace").click()
    expect(page.get_by_text("Stopped").first).to_be_visible()
    expect(page.locator("main")).to_contain_text("word3")

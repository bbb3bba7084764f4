"""The OpenAI dialect where the site says no, or ends: each test has a site of its own."""

import re
import signal
import time

import httpx
import openai
import pytest

from chat.generations.rates import LIFE_SECONDS
from tests.guarantees.sites import WIDE_LIMITS, sign_up
from tests.servers import DaphneSite, UvicornSite

SERVERS = pytest.mark.parametrize("kind", [DaphneSite, UvicornSite])
HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def serve(site_factory):
    """A function that starts a site and returns it with ada and a client of hers."""
    opened = []

    def start(kind=DaphneSite, **env):
        site = site_factory(kind, env=WIDE_LIMITS | env)
        (ada,) = sign_up(site, "ada")
        client = openai.OpenAI(base_url=f"{site.url}/v1", api_key=ada.key, max_retries=0)
        opened.append(client)
        opened.append(ada.browser)
        return site, ada, client

    yield start
    for client in opened:
        client.close()


def stream(client, model):
    return client.chat.completions.create(model=f"openai:{model}", messages=HELLO, stream=True)


@pytest.mark.parametrize(
    "limit", ["CHAT_MAX_RUNNING_PER_USER", "CHAT_MAX_READERS_PER_USER", "CHAT_MESSAGES_PER_MINUTE"]
)
def test_5_4_05_past_a_limit_clients_are_told_when_to_come_back(serve, limit):
    site, _, client = serve(**{limit: "1"})
    first = stream(client, "infinite@50")
    [next(first) for _ in range(2)]  # The role, then text: the model has been asked.
    with pytest.raises(openai.RateLimitError) as caught:
        stream(client, "words:3")
    first.close()
    error = caught.value
    assert (error.status_code, error.code, error.type) == (
        429,
        "rate_limit_exceeded",
        "rate_limit_error",
    )
    assert int(error.response.headers["retry-after"]) >= 1
    assert len(site.upstream.journal) == 1


def test_5_4_05_a_full_site_is_a_server_error(serve):
    _, _, client = serve(CHAT_MAX_READERS="1")
    first = stream(client, "infinite@50")
    next(iter(first))
    with pytest.raises(openai.InternalServerError) as caught:
        stream(client, "words:3")
    first.close()
    assert (caught.value.status_code, caught.value.code) == (503, "overloaded")


def test_callers_without_a_key_are_refused_though_other_dialects_are_open(serve):
    site, *_ = serve(CHAT_OPEN_DIALECTS="on")
    answer = httpx.post(f"{site.url}/v1/chat/completions", json={"messages": HELLO})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_a_revoked_key_ends_its_stream_with_an_error(serve):
    site, ada, client = serve()
    answer = stream(client, "infinite@50")
    [next(answer) for _ in range(2)]  # The role, then text: the model has been asked.
    (revoke,) = re.findall(r"/account/keys/[0-9a-f-]+/revoke/", ada.browser.get("/account/").text)
    assert ada.browser.post(revoke).status_code == 302
    with pytest.raises(openai.APIError) as caught:
        list(answer)
    assert caught.value.code == "invalid_api_key"
    assert site.upstream.wait_for(lambda journal: journal[0]["closed"], timeout=10)


@SERVERS
def test_a_server_that_ends_tells_what_it_cuts(serve, kind):
    site, _, client = serve(kind, CHAT_DRAIN_SECONDS="3", CHAT_DRAIN_JITTER_SECONDS="0")
    answer = stream(client, "infinite@50")
    next(iter(answer))
    site.signal(signal.SIGTERM)
    with pytest.raises(openai.APIError) as caught:
        list(answer)
    assert caught.value.code in {"draining", "interrupted"}


@SERVERS
def test_a_server_that_ends_lets_an_answer_end_first(serve, kind):
    site, _, client = serve(kind, CHAT_DRAIN_SECONDS="20", CHAT_DRAIN_JITTER_SECONDS="0")
    answer = stream(client, "words:60@50")
    next(iter(answer))
    site.signal(signal.SIGTERM)
    chunks = list(answer)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert site.wait() == 0


def test_a_budget_cuts_a_running_answer_and_refuses_the_next(serve):
    site, _, client = serve()
    budget = "from chat.models import Budget; Budget.objects.create(name='Lab', amount=60)"
    site.run(budget)
    time.sleep(LIFE_SECONDS)  # By then every process knows of it.
    *chunks, last = list(stream(client, "infinite@200"))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert last.choices[0].finish_reason == "length"
    with pytest.raises(openai.RateLimitError) as caught:
        stream(client, "words:3")
    assert caught.value.code == "insufficient_quota"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert len(site.upstream.journal) == 1

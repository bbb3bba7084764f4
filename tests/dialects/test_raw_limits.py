"""The raw dialects where the site says no, sends readers away, or ends."""

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import httpx
import pytest

from tests.dialects.test_raw import wait_until
from tests.guarantees.sites import WIDE_LIMITS, sign_up
from tests.servers import DaphneSite, UvicornSite
from tests.upstream import words_text

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def serve(site_factory):
    """A function that starts a site and returns it with ada."""
    people = []

    def start(kind=DaphneSite, **env):
        site = site_factory(kind, env=WIDE_LIMITS | env)
        people.extend(sign_up(site, "ada"))
        return site, people[-1]

    yield start
    for person in people:
        person.browser.close()


def headers(person):
    return {"Authorization": f"Bearer {person.key}"}


@pytest.fixture
def read_all(node):
    """A function that lets every client ask and read, and calls another one meanwhile."""

    def read_all(site, person, meanwhile):
        url, query = site.url, "stream-with-get?question="
        fetch, source = "text_fetch_event_source.mjs", "text_event_source.mjs"
        runs = [
            (fetch, f"{url}/stream-with-post", person.key, {"body": {"question": "Hello"}}),
            (fetch, f"{url}/{query}Hello", person.key, {}),
            (source, f"{url}/{query}", person.key, ["nothing"]),
        ]
        with ThreadPoolExecutor(len(runs)) as pool:
            flags = ["--experimental-eventsource"]
            reading = [pool.submit(node.run, *run, flags=flags) for run in runs]
            wait_until(lambda: len(site.upstream.journal) == 5)
            wait_until(lambda: all(entry["sent"] > 10 for entry in site.upstream.journal))
            meanwhile()
            return [client for future in reading for client in future.result()]

    return read_all


def check(site, seen, text):
    """Check that all have read the whole text, at more than one time, and asked once."""
    for client in seen:
        assert client["text"] == text
        assert client["requests"][0] is None
        assert all(client["requests"][1:])
        assert len(client["requests"]) >= 2 + (client["end"] == "nothing")
    assert [client["end"] for client in seen] == ["resolved"] * 2 + ["nothing"] * 3
    assert len(site.upstream.journal) == 5
    assert "without completing response" not in site.output


def test_who_is_sent_away_for_its_age_reads_on(serve, read_all):
    site, ada = serve(UvicornSite, CHAT_SSE_LIFETIME_SECONDS="1")
    site.upstream.script(*["words:60@25"] * 5)
    check(site, read_all(site, ada, lambda: None), words_text(60))


def test_who_is_sent_away_by_a_server_that_ends_reads_on_at_the_next(serve, read_all):
    site, ada = serve(CHAT_DRAIN_SECONDS="20", CHAT_DRAIN_JITTER_SECONDS="0")
    site.upstream.script(*["words:60@40"] * 5)

    def restart():
        site.signal(signal.SIGTERM)
        assert site.wait() == 0  # The answers have ended first.
        site.start()

    check(site, read_all(site, ada, restart), words_text(60))


def test_past_a_limit_nothing_is_asked(serve):
    site, ada = serve(CHAT_MAX_READERS_PER_USER="1")
    site.upstream.script("infinite@50")
    url = f"{site.url}/stream-with-get"
    query = {"question": "Hello"}
    with httpx.stream("GET", url, params=query, headers=headers(ada)) as reading:
        lines = reading.iter_lines()
        next(lines)
        refusals = [
            httpx.get(url, params=query, headers=headers(ada)),
            httpx.get(f"{site.url}/ask", params={"msg": "Hello"}, headers=headers(ada)),
            httpx.post(f"{site.url}/stream-with-post", json=query, headers=headers(ada)),
            httpx.post(f"{site.url}/nostream", json=query, headers=headers(ada)),
            httpx.post(f"{site.url}/ask", json=HELLO, headers=headers(ada)),
        ]
    for refusal in refusals:
        assert refusal.status_code == 429
        assert int(refusal.headers["retry-after"]) >= 1
        assert "1 readers are open for you" in refusal.text
    for refusal in refusals[:-1]:
        assert refusal.json()["error"]["code"] == "rate_limited"
    assert site.upstream.wait_for(bool)
    assert len(site.upstream.journal) == 1


def test_a_revoked_key_ends_what_it_reads(serve):
    site, ada = serve()
    site.upstream.script(*["infinite@50"] * 3)
    requests = {
        "events": ("POST", "/stream-with-post", {"question": "Hello"}),
        "done": ("GET", "/ask?msg=Hello", None),
        "text": ("POST", "/ask", HELLO),
    }
    ended = {}

    def read(name, method, path, body):
        text = ""
        try:
            with httpx.stream(
                method, site.url + path, json=body, headers=headers(ada), timeout=30
            ) as response:
                for piece in response.iter_text():
                    text += piece
            ended[name] = text
        except httpx.RemoteProtocolError:
            ended[name] = None

    readers = [Thread(target=read, args=(name, *request)) for name, request in requests.items()]
    for reader in readers:
        reader.start()
    assert site.upstream.wait_for(
        lambda journal: len(journal) == 3 and all(entry["sent"] > 3 for entry in journal)
    )
    (revoke,) = re.findall(r"/account/keys/[0-9a-f-]+/revoke/", ada.browser.get("/account/").text)
    assert ada.browser.post(revoke).status_code == 302
    for reader in readers:
        reader.join(20)
    assert ended["events"].split("\n\n")[-2].startswith("event: FatalError\ndata: Sign in")
    assert "[DONE]" not in ended["done"]
    assert "[error]" not in ended["done"]
    assert ended["text"] is None  # Broken off.

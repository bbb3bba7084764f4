"""Chromium's own EventSource on the site's event streams; numbers as in the checklist 6.3."""

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Request

from tests.guarantees.clients import API, Person, check_log
from tests.guarantees.readers import Event
from tests.proxy import Proxy
from tests.servers import Site

READ = """url => {
  window.seen = {events: [], opened: 0, state: EventSource.CONNECTING};
  const source = new EventSource(url);
  source.onopen = () => seen.opened += 1;
  source.onerror = () => seen.state = source.readyState;
  for (const kind of ["started", "delta", "done", "stopped", "failed", "interrupted", "message"])
    source.addEventListener(kind, event => seen.events.push([kind, event.data, event.lastEventId]));
}"""
CLOSED = "seen.state === EventSource.CLOSED"


@pytest.fixture
def ada(live_site: Site, account: None) -> Iterator[Person]:
    person = Person(live_site, name="ada", key=live_site.create_api_key(), session="")
    yield person
    person.http.close()


@pytest.fixture
def requests(page: Page) -> list[Request]:
    """What EventSources have requested."""
    made: list[Request] = []
    page.on("request", lambda r: r.resource_type == "eventsource" and made.append(r))
    return made


def wait_for(page: Page, condition: str) -> None:
    """Wait as `wait_for_function` does, which the page's security policy refuses."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, page.evaluate("seen")
        page.wait_for_timeout(20)


def test_6_3_06_it_reads_on_where_it_was_cut_and_stops_at_the_end(live_site, ada, page, requests):
    generation = ada.ask("Hello", model="openai:infinite@40")["id"]
    with Proxy(live_site.port) as proxy:
        page.goto(f"http://127.0.0.1:{proxy.port}/")
        page.evaluate(READ, f"{API}/generations/{generation}/events/")
        wait_for(page, "seen.events.length > 5")
        proxy.reset()
        wait_for(page, "seen.opened === 2")
        ada.stop(generation)
        wait_for(page, CLOSED)
        seen = page.evaluate("seen")
    events = [Event(int(cursor), kind, data) for kind, data, cursor in seen["events"]]
    check_log(events)
    assert events == ada.streamed(generation)
    first, cut, last = [request.all_headers().get("last-event-id") for request in requests]
    assert first is None
    assert 5 < int(cut) < int(last) == events[-1].cursor
    assert requests[-1].response().status == 204


def test_6_3_09_it_closes_when_it_is_not_let_in(ada, page, requests):
    generation = ada.ask("Hello", model="openai:words:3")["id"]
    for path, status in (
        (f"{generation}/events/?after=1000", 400),
        (f"{uuid4()}/events/", 404),
        (f"{generation}/events/", 401),
    ):
        if status == 401:
            page.context.clear_cookies()
        page.evaluate(READ, f"{API}/generations/{path}")
        wait_for(page, CLOSED)
        assert page.evaluate("seen.events.length + seen.opened") == 0
        assert requests.pop().response().status == status
        assert not requests

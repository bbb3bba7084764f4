"""One site for all tests that leave it running, and its users with their keys."""

from collections.abc import Iterator

import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import People, site_with_people
from tests.servers import DaphneSite
from tests.terminal.running import Streamchat


@pytest.fixture(scope="package")
def served() -> Iterator[tuple[DaphneSite, People]]:
    # Some tests end the connection and look at what the site did meanwhile.
    with site_with_people(CHAT_DRAIN_SECONDS="0", CHAT_QUEUE_LIMIT="3") as served:
        yield served


@pytest.fixture
def site(served: tuple[DaphneSite, People]) -> DaphneSite:
    site = served[0]
    site.upstream.reset()
    return site


@pytest.fixture
def ada(served: tuple[DaphneSite, People], site: DaphneSite) -> Person:
    return served[1].ada


@pytest.fixture
def start() -> Iterator[type[Streamchat]]:
    """Start the client; those that still run when the test ends are ended."""
    yield Streamchat
    Streamchat.end_all()

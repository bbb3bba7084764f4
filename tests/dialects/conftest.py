"""One site of each server, and people with keys, for all dialects."""

from collections.abc import Iterator

import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import People, site_with_people
from tests.servers import DaphneSite, Site, UvicornSite


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Site, People]]:
    env = {"CHAT_HEARTBEAT_SECONDS": "1", "CHAT_CONTEXT_TOKENS": "100000"}
    # Django reports each answer of 5xx as an error, and here model servers fail on purpose.
    with site_with_people(kind=request.param, expect_errors=True, **env) as served:
        yield served


@pytest.fixture
def site(served: tuple[Site, People]) -> Site:
    site = served[0]
    site.upstream.reset()
    return site


@pytest.fixture
def ada(served: tuple[Site, People]) -> Person:
    return served[1].ada


@pytest.fixture
def bob(served: tuple[Site, People]) -> Person:
    return served[1].bob

"""What the tests here find on the site that each of them serves as its ``served``."""

import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import People
from tests.servers import Site


@pytest.fixture
def site(served: tuple[Site, People]) -> Site:
    site = served[0]
    site.upstream.reset()
    return site


@pytest.fixture
def ada(served: tuple[Site, People]) -> Person:
    return served[1].ada

"""
The sites of the guarantees.

Most rows need one site, Daphne on SQLite: ``site``, ``people``, ``ada``, ``bob``.
Rows that a server could break take ``any_site`` and ``any_people`` instead, and
run once for each cell: both servers on SQLite, and with ``make test-faults``
both on PostgreSQL and Redis. Such a module gets its sites to itself, and may
name their settings in a dict ``SITE_ENV``, their errors as expected by
``SITE_ERRORS = True``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.guarantees.clients import Person
from tests.guarantees.sites import People, site_with_people
from tests.servers import DaphneSite, Site, UvicornSite

SERVERS: dict[str, type[Site]] = {"daphne": DaphneSite, "uvicorn": UvicornSite}
SQLITE, CLUSTER = "sqlite", "postgres+redis"


def cells() -> list[Any]:
    return [
        pytest.param((server, store), id=f"{server}-{store}", marks=marks)
        for store, marks in ((SQLITE, ()), (CLUSTER, pytest.mark.faults))
        for server in SERVERS
    ]


@contextmanager
def serve_cell(
    request: pytest.FixtureRequest, cell: tuple[str, str], **env: Any
) -> Iterator[tuple[Site, People]]:
    """Serve a cell's site; the servers of its store run for as long as the tests do."""
    server, store = cell
    if store == CLUSTER:
        postgres = request.getfixturevalue("postgres_server")
        env = {
            "DATABASE_URL": postgres.create_database(f"cell_{uuid4().hex}"),
            "REDIS_URL": request.getfixturevalue("redis_server").url,
        } | env
    errors = getattr(request.module, "SITE_ERRORS", False)
    with site_with_people(kind=SERVERS[server], expect_errors=errors, **env) as served:
        yield served


@pytest.fixture(scope="module", params=cells())
def _cell(request: pytest.FixtureRequest) -> Iterator[tuple[Site, People]]:
    with serve_cell(request, request.param, **getattr(request.module, "SITE_ENV", {})) as served:
        yield served


@pytest.fixture
def any_site(_cell: tuple[Site, People]) -> Site:
    return _cell[0]


@pytest.fixture
def any_people(_cell: tuple[Site, People]) -> People:
    return _cell[1]


@pytest.fixture
def any_ada(any_people: People) -> Person:
    return any_people.ada


@pytest.fixture(scope="package")
def _shared() -> Iterator[tuple[DaphneSite, People]]:
    with site_with_people() as served:
        yield served


@pytest.fixture
def site(_shared: tuple[DaphneSite, People]) -> DaphneSite:
    """One site for all tests that leave it as it was. Its models are the model server's modes."""
    return _shared[0]


@pytest.fixture
def people(_shared: tuple[DaphneSite, People]) -> People:
    return _shared[1]


@pytest.fixture
def ada(people: People) -> Person:
    return people.ada


@pytest.fixture
def bob(people: People) -> Person:
    return people.bob

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests import emptying, servers
from tests.clients.node import Node, NotInstalled, install
from tests.project import Project


def pytest_configure() -> None:
    emptying.install()


@pytest.fixture(autouse=True)
def new_process() -> None:
    """Each test has an event loop of its own, and what belongs to the process with it."""
    from chat import access, generations
    from chat.bus import bus
    from chat.eventlog import event_log

    generations._watchers.clear()
    access.reset()
    generations.engine.cache_clear()
    event_log.cache_clear()
    bus.cache_clear()


@pytest.fixture(scope="module")
def live_site() -> Iterator[servers.DaphneSite]:
    """The site as people start it, with a model server of its own."""
    with servers.DaphneSite() as site:
        yield site


@pytest.fixture
def site_factory() -> Iterator[Callable[..., Any]]:
    """A function that starts a site (DaphneSite, unless told otherwise) for this test."""
    with ExitStack() as stack:

        def start(kind: type[servers.Site] = servers.DaphneSite, **options: Any) -> servers.Site:
            return stack.enter_context(kind(**options))

        yield start


@pytest.fixture(scope="session")
def node() -> Node:
    """Runs other systems' JavaScript clients: see `tests/clients`."""
    try:
        return install()
    except NotInstalled as exc:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"The JavaScript clients could not be fetched:\n{exc}")


@pytest.fixture(scope="session")
def project() -> Iterator[Project]:
    """An empty project with the chat at `/chat/`. To make one takes long."""
    with Project() as made:
        yield made


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.RedisServer]:
    with servers.RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    with servers.PostgresServer() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def no_connection_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the database threads before the test database is dropped."""
    from chat.database import close_database_threads

    request.getfixturevalue("django_db_setup")
    yield
    close_database_threads()


@pytest.fixture(scope="session", autouse=True)
def no_server_is_left_behind() -> Iterator[None]:
    yield
    left = list(servers.running)
    for server in left:
        server.close()
    assert not left, f"Tests left servers running: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the servers have printed with a test that fails."""
    report = yield
    if report.failed:
        for server in servers.running:
            title = f"{type(server).__name__} {server.process and server.process.pid}"
            report.sections.append((title, server.output[-8000:]))
    return report

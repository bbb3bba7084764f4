"""Sites that are made to be broken, and what stands in their databases in the end."""

import asyncio
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

from chat.failpoints import VARIABLE
from tests.faults.clients import HEARTBEAT, Client
from tests.faults.history import Asked, Finding, History, Row, check
from tests.guarantees.readers import Event
from tests.guarantees.sites import WIDE_LIMITS, People, database_path
from tests.servers import DaphneSite, PostgresServer, Site, UvicornSite
from tests.upstream import FakeUpstream

LIMITS = WIDE_LIMITS | {"CHAT_HEARTBEAT_SECONDS": str(HEARTBEAT)}
RECOVERY = 15.0  # Seconds after which nothing of a dead process still runs.
SLACK = 5.0  # For a busy machine.

GENERATIONS = """
    SELECT g.id, g.status, g.cursor, p.text, m.text FROM chat_generation g
    JOIN chat_message m ON m.id = g.message_id JOIN chat_message p ON p.id = m.parent_id
"""
EVENTS = "SELECT generation_id, cursor, kind, data FROM chat_storedevent ORDER BY 1, 2"
ACTIVE = "SELECT count(*) FROM chat_generation WHERE status IN ('queued', 'running')"


class DoomedSite(DaphneSite):
    """A site that dies where ``failpoint`` says, in every start from now on."""

    failpoint: str | None = None

    @property
    def env(self) -> dict[str, str]:
        return super().env | ({VARIABLE: self.failpoint} if self.failpoint else {})


class Scene:
    """One or more processes on one database, and who chats there."""

    def __init__(self, sites: Sequence[Site], people: People, *, database: str = "") -> None:
        self.sites = list(sites)
        self.people = people
        self.database = database  # The address of a PostgreSQL one.
        self.history = History()
        self.urls: Callable[[], Sequence[str]] = lambda: [site.url for site in self.sites]

    @property
    def site(self) -> Any:
        return self.sites[0]

    @property
    def upstream(self) -> Any:
        return self.site.upstream

    def client(self, name: str = "ada", **options: Any) -> Client:
        person = getattr(self.people, name.partition("-")[0])
        options.setdefault("seed", hash(name))
        return Client(name, person.key, options.pop("urls", self.urls), self.history, **options)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if self.database:
            import psycopg

            with psycopg.connect(self.database) as connection:
                return connection.execute(sql).fetchall()
        path = f"file:{database_path(self.site)}?mode=ro"
        connection = sqlite3.connect(path, uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    async def settle(self, seconds: float = RECOVERY + SLACK) -> float:
        """Wait until nothing runs or waits any more, and return how long that took."""
        begun = time.monotonic()
        while (await asyncio.to_thread(self.query, ACTIVE))[0][0]:
            if time.monotonic() - begun > seconds:
                break  # The judge will name what is left.
            await asyncio.sleep(0.1)
        return time.monotonic() - begun

    def rows(self) -> list[Row]:
        logs: dict[str, list[Event]] = {}
        for generation, cursor, kind, data in self.query(EVENTS):
            logs.setdefault(_uuid(generation), []).append(Event(cursor, kind, data))
        return [
            Row(_uuid(pk), status, cursor, prompt, text, logs.get(_uuid(pk), []))
            for pk, status, cursor, prompt, text in self.query(GENERATIONS)
        ]

    def judge(self) -> list[Finding]:
        """Complete the history with what the database and the model server have, and judge it."""
        self.history.rows = self.rows()
        self.history.asked = [
            Asked(entry["body"]["messages"][-1]["content"], entry["opened"])
            for entry in list(self.upstream.journal)
        ]
        return check(self.history)


def _uuid(value: Any) -> str:
    return str(value if isinstance(value, UUID) else UUID(hex=value))


@contextmanager
def one_process(
    kind: type[Site] = DoomedSite, *, upstream: Any = None, **env: Any
) -> Iterator[Scene]:
    """A site on SQLite."""
    with kind(upstream=upstream, env=LIMITS | env) as site:
        people = People(site)
        try:
            yield Scene([site], people)
        finally:
            people.close()


@contextmanager
def two_processes(postgres: PostgresServer, **env: Any) -> Iterator[Scene]:
    """Daphne and uvicorn, on one PostgreSQL database."""
    database = postgres.create_database(f"faults_{random.getrandbits(40):x}")
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream())
        options: dict[str, Any] = {"upstream": upstream, "env": LIMITS | env}
        options["env"]["DATABASE_URL"] = options["env"].get("DATABASE_URL") or database
        sites = [
            stack.enter_context(DoomedSite(**options)),
            stack.enter_context(UvicornSite(**options)),
        ]
        people = People(sites[0])
        stack.callback(people.close)
        yield Scene(sites, people, database=database)

"""A06: when all readers lose their connection at once, all are back soon, and cheaply."""

import asyncio
import random
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.db.backends.utils import CursorWrapper
from django.test import TransactionTestCase
from websockets.asyncio.client import ClientConnection, connect

from chat.consumers import ChatConsumer
from chat.database import close_database_threads, in_database
from chat.eventlog import event_log
from chat.events import EventKind
from chat.models import ApiKey, Conversation, Generation, Message
from tests.guarantees.readers import cut_events
from tests.guarantees.sites import site_with_people
from tests.guarantees.watch import by_key, by_session
from tests.servers import DaphneSite, UvicornSite

CLIENTS = 240
BACK_SECONDS = 10
ACCEPT_SECONDS = 5
FIRST_WAIT = 0.4  # As the page's script: see the test of that below.


@pytest.fixture(scope="module", params=[DaphneSite, UvicornSite], ids=["daphne", "uvicorn"])
def served(request):
    with site_with_people(kind=request.param, CHAT_MAX_READERS_PER_USER="500") as served:
        yield served


class Client:
    def __init__(self, site: Any, headers: dict[str, str], generation: str) -> None:
        self.site, self.headers, self.generation = site, headers, generation
        self.cursor = 0
        self.accepted_after = 0.0

    async def connect(self) -> None:
        started = time.monotonic()
        self.connection: ClientConnection = await connect(
            f"{self.site.ws_url}/ws/chat/",
            additional_headers=self.headers,
            origin=self.site.url,
            compression=None,
            proxy=None,
            open_timeout=BACK_SECONDS,
        )
        self.accepted_after = time.monotonic() - started
        assert '"hello"' in await self.connection.recv()
        frame = f'"generation":"{self.generation}","after":{self.cursor}'
        await self.connection.send(f'{{"type":"follow",{frame}}}')
        await self.read()

    async def read(self) -> None:
        """Read a batch; it must go on where the last one ended."""
        while '"type":"events"' not in (raw := await self.connection.recv()):
            continue
        for event in cut_events(raw):
            self.cursor += 1
            assert event.cursor == self.cursor

    def reset(self) -> None:
        """End the connection as a network does that has gone: without a word, by RST."""
        raw = self.connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def come_back(self) -> float:
        await asyncio.sleep(FIRST_WAIT * (0.5 + random.random() / 2))
        await self.connect()
        return time.monotonic()


async def storm(site: Any, clients: list[Client]) -> tuple[float, list[float]]:
    """Reset all at once; return when the last was back, and how long health checks took."""
    for some in range(0, len(clients), 20):
        await asyncio.gather(*(client.connect() for client in clients[some : some + 20]))
    for client in clients:
        client.reset()
    started = time.monotonic()
    back = asyncio.gather(*(client.come_back() for client in clients))
    checks = []
    async with httpx.AsyncClient(base_url=site.url, timeout=ACCEPT_SECONDS) as health:
        while not back.done():
            asked = time.monotonic()
            assert (await health.get("/accounts/login/")).status_code == 200
            checks.append(time.monotonic() - asked)
            await asyncio.sleep(0.2)
    last = max(await back) - started
    await asyncio.gather(*(client.connection.close() for client in clients))
    return last, checks


def test_a06_all_readers_are_back_within_seconds_after_a_storm(served):
    site, people = served
    clients = []
    answers = []
    for person in (people.ada, people.bob):
        generation = person.ask("Go on.", model="openai:infinite@10")["id"]
        answers.append((person, generation))
        for headers in (by_key(person.key), by_session(person.session)):
            clients += [Client(site, headers, generation) for _ in range(CLIENTS // 4)]
    random.shuffle(clients)
    last, checks = asyncio.run(storm(site, clients))
    assert last <= BACK_SECONDS
    assert max(client.accepted_after for client in clients) <= ACCEPT_SECONDS
    assert checks
    for person, generation in answers:
        assert person.generation(generation)["status"] == "running"
        person.stop(generation)


def test_a06_the_pages_script_comes_back_at_a_random_moment_and_ever_later():
    source = (Path(__file__).parents[2] / "chat/static/chat/socket.js").read_text()
    assert f"FIRST_WAIT_MS = {FIRST_WAIT * 1000:.0f};" in source
    assert "wait ??= longest * (0.5 + Math.random() / 2);" in source
    assert "FIRST_WAIT_MS * 2 ** this.attempts" in source


class QueryTests(TransactionTestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("ann")
        conversation = Conversation.objects.create(owner=self.user)
        prompt = Message.objects.create(conversation=conversation, role="user", text="Hi.")
        answer = Message.objects.create(conversation=conversation, role="assistant", parent=prompt)
        self.generation = Generation.objects.create(
            owner=self.user, conversation=conversation, message=answer, status="running", model="m"
        )
        self.client.force_login(self.user)
        self.key = ApiKey.objects.create_key(self.user)[1]
        self.addCleanup(close_database_threads)

    async def queries_of_a_reconnect(self, headers: dict[str, str]) -> list[str]:
        """Return the SQL of all threads from the handshake to the following of an answer."""
        await event_log().open(self.generation.pk)
        await event_log().append(self.generation.pk, EventKind.STARTED, model="m", message="")
        seen: list[str] = []
        execute = CursorWrapper.execute

        def noted(cursor: Any, sql: str, *args: Any) -> Any:
            if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", sql):
                seen.append(sql)
            return execute(cursor, sql, *args)

        await in_database(ApiKey.objects.exists)  # Connected.
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        communicator = WebsocketCommunicator(ChatConsumer.as_asgi(), "/ws/chat/", headers=pairs)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CursorWrapper, "execute", noted)
            assert (await communicator.connect())[0]
            assert (await communicator.receive_json_from())["type"] == "hello"
            await communicator.send_json_to(
                {"type": "follow", "generation": str(self.generation.pk), "after": 0}
            )
            frame = await communicator.receive_json_from()
            assert frame["events"][0]["cursor"] == 1
            await communicator.disconnect()
        return seen

    async def test_a06_a_reconnect_costs_at_most_three_queries(self):
        session = by_session(self.client.cookies["sessionid"].value)
        for headers in (session, by_key(self.key), by_key(self.key)):
            queries = await self.queries_of_a_reconnect(headers)
            assert 0 < len(queries) <= 3, queries

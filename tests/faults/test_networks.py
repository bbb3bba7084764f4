"""E01, E03: peers that vanish without a word, and people who change their network."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.faults.clients import FAILURES, Turn
from tests.faults.networks import Cable, connections
from tests.faults.sites import LIMITS, DoomedSite, Scene
from tests.guarantees.sites import People
from tests.proxy import Proxy
from tests.servers import UvicornSite

pytestmark = pytest.mark.faults

PINGS = 40.0  # A socket whose peer does not answer for 20 s after 20 quiet ones.
LIFETIME = 10.0  # Of event streams, for these tests.
SLACK = 15.0
ENV = {
    **LIMITS,
    "CHAT_SSE_LIFETIME_SECONDS": str(LIFETIME),
    "CHAT_SLOW_READER_SECONDS": "10",
    "ALLOWED_HOSTS": "*",
}


# What is sent to nobody is not acknowledged: within a heartbeat and this, the stream is given up.
VANISHED = 30.0
LIMITS_OF = {"ws": PINGS + SLACK, "sse": VANISHED + LIFETIME + SLACK}


class OpenDaphne(DoomedSite):
    def command(self):
        return [*super().command(), "--host", "0.0.0.0"]


class OpenUvicorn(UvicornSite):
    def command(self):
        return [*super().command(), "--host", "0.0.0.0"]


@pytest.fixture(scope="module", params=[OpenDaphne, OpenUvicorn])
def scene(request):
    with request.param(env=ENV) as site:
        people = People(site)
        yield Scene([site], people)
        people.close()


@pytest.fixture
def cable():
    with Cable() as cable:
        yield cable


class Peer:
    """Somebody outside who follows an answer, and never leaves by himself."""

    def __init__(self, scene: Scene, base: str, generation: str) -> None:
        self.base = base
        self.generation = generation
        self.headers = {"Authorization": f"Bearer {scene.people.ada.key}"}
        self.attached = threading.Event()
        self.dismissed = threading.Event()

    async def follow(self, transport: str) -> None:
        with suppress(*FAILURES):  # What becomes of the connection is the test's affair.
            await (self.by_socket() if transport == "ws" else self.by_stream())

    async def by_socket(self) -> None:
        address = self.base.replace("http", "ws", 1) + "/ws/chat/"
        options = {"proxy": None, "ping_interval": None, "max_size": None, "close_timeout": 0}
        async with connect(address, additional_headers=self.headers, **options) as socket:
            await socket.send(json.dumps({"type": "follow", "generation": self.generation}))
            while "events" not in json.loads(await socket.recv()):
                pass
            await self.stay()

    async def by_stream(self) -> None:
        address = f"{self.base}/api/v1/generations/{self.generation}/events/"
        headers = self.headers | {"Accept": "text/event-stream"}
        async with (
            httpx.AsyncClient(headers=headers) as http,
            http.stream("GET", address) as response,
        ):
            chunks = response.aiter_raw()  # Kept: its end would be the connection's.
            await anext(chunks)
            await self.stay()

    async def stay(self) -> None:
        self.attached.set()
        while not self.dismissed.is_set():
            await asyncio.sleep(0.1)


@contextmanager
def peer_of(scene: Scene, base: str, model: str, start) -> Iterator[Peer]:
    """Have an answer begun, and somebody attached to it; ``start`` runs him."""
    ada = scene.people.ada
    generation = ada.ask(f"Is anybody there? {time.monotonic()}", model=model)["id"]
    peer = Peer(scene, base, generation)
    start(peer)
    try:
        assert peer.attached.wait(20)
        yield peer
    finally:
        peer.dismissed.set()
        ada.stop(generation)


@pytest.mark.parametrize("transport", ["ws", "sse"])
@pytest.mark.parametrize("model", ["openai:infinite@20", "openai:hang-after:3"])
def test_e01_a_peer_that_vanished_is_given_up(scene, cable, transport, model):
    port, address = scene.site.port, f"{cable.net}.{cable.address}"
    base = f"http://{cable.here}:{port}"
    with peer_of(scene, base, model, lambda peer: cable.run(lambda: peer.follow(transport))):
        assert connections(port, peer=address) == 1
        cable.cut()
        gone = seconds_until(lambda: not connections(port, peer=address))
    assert gone < LIMITS_OF[transport]


def test_e01_a_socket_behind_a_black_hole_is_given_up(scene):
    # Whose acknowledgements are the hole's own: only pongs are missed.
    def start(peer: Peer) -> None:
        work = lambda: asyncio.run(peer.follow("ws"))  # noqa: E731
        threading.Thread(target=work, daemon=True).start()

    port = scene.site.port
    with Proxy(port) as proxy:
        base = f"http://127.0.0.1:{proxy.port}"
        with peer_of(scene, base, "openai:infinite@20", start):
            before = connections(port)
            proxy.lost = True
            gone = seconds_until(lambda: connections(port) < before)
        proxy.lost = False
    assert gone < LIMITS_OF["ws"]


def seconds_until(condition, limit: float = 90) -> float:
    begun = time.monotonic()
    while not condition() and time.monotonic() < begun + limit:
        time.sleep(0.2)
    return time.monotonic() - begun


@pytest.mark.parametrize("transport", ["ws", "sse", "poll"])
def test_e03_people_who_change_their_network_go_on_by_cursor(scene, cable, transport):
    turn = Turn(f"On the way {time.monotonic()}", "openai:words:1500@30")

    async def travel() -> None:
        urls = lambda: [f"http://{cable.here}:{scene.site.port}"]  # noqa: E731
        async with scene.client("ada", urls=urls, transports=[transport]) as ada:
            await ada.finish(turn, patience=120)

    travelling = cable.run(travel)
    for _ in range(5):
        reached = turn.cursor
        seconds_until(lambda reached=reached: turn.cursor > reached + 10, limit=30)
        cable.move()
    travelling.join(120)
    assert travelling.outcome is None
    assert turn.status == "done"
    assert scene.judge() == []

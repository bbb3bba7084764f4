"""News for sockets, at a socket that does not take them."""

import asyncio
import json

from django.contrib.auth import get_user_model
from django.test import TransactionTestCase, override_settings

from chat.consumers import ChatConsumer
from chat.database import close_database_threads, in_database
from chat.generations import notify_conversation
from chat.models import ApiKey
from chat.sockets import NEWS_LENGTH, TOO_SLOW


class Socket:
    """A server's side of a connection, which takes messages only while ``gate`` is open."""

    def __init__(self, key):
        headers = [(b"authorization", f"Bearer {key}".encode())]
        self.scope = {"type": "websocket", "path": "/", "headers": headers, "subprotocols": []}
        self.received: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.sent: list[dict[str, object]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def send(self, message):
        await self.gate.wait()
        self.sent.append(message)

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    @property
    def frames(self):
        return [json.loads(m["text"]) for m in self.sent if m["type"] == "websocket.send"]

    def run(self):
        self.received.put_nowait({"type": "websocket.connect"})
        return asyncio.create_task(ChatConsumer.as_asgi()(self.scope, self.received.get, self.send))


class SlowSocketTests(TransactionTestCase):
    @classmethod
    def tearDownClass(cls):
        close_database_threads()
        super().tearDownClass()

    def setUp(self):
        self.user = get_user_model().objects.create_user("ann")
        self.key = ApiKey.objects.create_key(self.user)[1]

    async def open(self):
        socket = Socket(self.key)
        running = socket.run()
        await socket.until(lambda: socket.frames)
        assert socket.frames[0]["type"] == "hello"
        return socket, running

    async def close(self, socket, running):
        socket.received.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(running, 10)

    async def test_news_arrive_in_order(self):
        socket, running = await self.open()
        for number in range(10):
            await notify_conversation(self.user.pk, number, "updated", title="Looms")
        await socket.until(lambda: len(socket.frames) > 10)
        frame = {"type": "conversation", "change": "updated", "title": "Looms"}
        assert socket.frames[1:] == [frame | {"id": str(number)} for number in range(10)]
        await self.close(socket, running)

    async def test_of_too_many_the_newest_are_kept(self):
        socket, running = await self.open()
        socket.gate.clear()
        count = 10 * NEWS_LENGTH
        for number in range(count):
            await notify_conversation(self.user.pk, number, "updated")
            await asyncio.sleep(0)
        socket.gate.set()
        await socket.until(lambda: socket.frames[-1].get("id") == str(count - 1))
        assert len(socket.frames) <= 1 + 1 + NEWS_LENGTH  # The hello, and one that was on its way.
        await self.close(socket, running)

    @override_settings(CHAT={"SLOW_READER_SECONDS": 0.2})
    async def test_a_socket_that_takes_nothing_is_closed(self):
        socket, running = await self.open()
        socket.gate.clear()
        await notify_conversation(self.user.pk, 1, "updated")
        await asyncio.sleep(0.5)
        socket.gate.set()
        await socket.until(lambda: socket.sent[-1]["type"] == "websocket.close")
        assert socket.sent[-1]["code"] == TOO_SLOW
        await self.close(socket, running)

    async def test_news_of_others_are_not_told(self):
        other = await in_database(get_user_model().objects.create_user, "bob")
        socket, running = await self.open()
        await notify_conversation(other.pk, 1, "updated")
        await notify_conversation(self.user.pk, 2, "updated")
        await socket.until(lambda: len(socket.frames) > 1)
        assert [frame["id"] for frame in socket.frames[1:]] == ["2"]
        await self.close(socket, running)

"""The consumer that one writes first: the chain inside ``receive``, a frame per token."""

import json

import django
from django.conf import settings

settings.configure(SECRET_KEY="bench", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"])
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402

from bench.peers.chain import build_chain  # noqa: E402

chain = build_chain()


class ChatConsumer(AsyncWebsocketConsumer):
    async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
        question = json.loads(text_data)["text"]
        async for token in chain.astream({"input": question}):
            await self.send(json.dumps({"token": token}))
        await self.send(json.dumps({"done": True}))


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/", ChatConsumer.as_asgi())]),
    }
)

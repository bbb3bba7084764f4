"""Where sockets are: below the address at which a project includes ``chat.urls``."""

from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path, reverse

from chat.ai_consumers import AiConsumer
from chat.bodies import BodyLimit
from chat.broken import BrokenAnswers
from chat.consumers import ChatConsumer
from chat.lifecycle import Lifecycle
from chat.origins import OriginCheck


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a socket at an unknown path: without this, Channels would log it as our defect."""
    await receive()
    await send({"type": "websocket.close"})


home = reverse("chat:home").lstrip("/")

websocket_urlpatterns = [
    path(f"{home}ws/chat/", ChatConsumer.as_asgi()),
    path(f"{home}ws/ai/", AiConsumer.as_asgi()),
    re_path("", nowhere),  # type: ignore[arg-type]
]


def with_chat(django_application: Any) -> Lifecycle:
    """Return a project's ASGI application: its own for HTTP, and the chat's sockets."""
    return Lifecycle(
        ProtocolTypeRouter(
            {
                "http": BodyLimit(BrokenAnswers(django_application)),
                "websocket": OriginCheck(URLRouter(websocket_urlpatterns)),
            }
        )
    )

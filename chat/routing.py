from typing import Any

from django.urls import path, re_path

from chat.ai_consumers import AiConsumer
from chat.consumers import ChatConsumer


async def nowhere(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a socket at an unknown path: without this, Channels would log it as our defect."""
    await receive()
    await send({"type": "websocket.close"})


websocket_urlpatterns = [
    path("ws/chat/", ChatConsumer.as_asgi()),
    path("ws/ai/", AiConsumer.as_asgi()),
    re_path("", nowhere),  # type: ignore[arg-type]
]

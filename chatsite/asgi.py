"""The composition root: HTTP to Django, WebSockets to the consumers."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django_application = get_asgi_application()

from chat.bodies import BodyLimit  # noqa: E402
from chat.broken import BrokenAnswers  # noqa: E402
from chat.lifecycle import Lifecycle  # noqa: E402
from chat.origins import OriginCheck  # noqa: E402
from chat.routing import websocket_urlpatterns  # noqa: E402

application = Lifecycle(
    ProtocolTypeRouter(
        {
            "http": BodyLimit(BrokenAnswers(django_application)),
            "websocket": OriginCheck(URLRouter(websocket_urlpatterns)),
        }
    )
)

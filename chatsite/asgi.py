"""The composition root: HTTP to Django, WebSockets to the consumers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
django_application = get_asgi_application()

from chat.routing import with_chat  # noqa: E402 - It needs the site's addresses.

application = with_chat(django_application)

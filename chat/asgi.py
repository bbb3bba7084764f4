"""The ASGI application of a project that needs none of its own."""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application

django_application: Any = get_asgi_application()

from chat.routing import with_chat  # noqa: E402 - It needs the project's addresses.

# As `runserver` does while a project is being written; after that, a proxy or a middleware.
if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    django_application = ASGIStaticFilesHandler(django_application)

application = with_chat(django_application)

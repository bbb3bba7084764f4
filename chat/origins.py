"""Which pages may open a socket: a browser sends its cookies with any page's handshake."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from chat.conf import chat_settings

DEFAULT_PORTS = {"http": 80, "https": 443}
ANY = "*"  # In a list of origins: whichever.
LOCAL_HOSTS = (".localhost", "127.0.0.1", "[::1]")
DIALECT_PATHS = ("/ws/ai/",)  # Wherever a project has put the chat.


class OriginCheck:
    """
    ASGI middleware for WebSockets: refuse, before accepting, pages of other origins.

    An origin is scheme, host and port, and all three must agree, with the
    site's own or one of ``ALLOWED_ORIGINS``. A handshake with an API key is no
    browser's doing and needs none. At the addresses of dialects, pages of
    ``CORS_ORIGINS`` are let in too, and programs that send neither.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.lets_in(scope):
            await self.app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    def lets_in(self, scope: Any) -> bool:
        headers = {name.lower(): value.decode("latin1") for name, value in scope["headers"]}
        if b"authorization" in headers:
            return True
        if scope["path"].endswith(DIALECT_PATHS) and self.lets_in_dialect(headers):
            return True
        return self.allows(headers.get(b"origin", ""), scope, headers)

    @staticmethod
    def lets_in_dialect(headers: dict[bytes, str]) -> bool:
        has_cookie = b"cookie" in headers
        if b"origin" not in headers:
            return not has_cookie
        # A session is only taken from a page that is named.
        named = [each for each in chat_settings().cors_origins if each != ANY or not has_cookie]
        return is_among(headers[b"origin"], named)

    @staticmethod
    def allows(origin: str, scope: Any, headers: dict[bytes, str]) -> bool:
        return is_among(origin, chat_settings().allowed_origins or own_origins(scope, headers))


def is_among(origin: str, allowed: Iterable[str]) -> bool:
    """Tell whether an ``Origin`` header names one of these origins: scheme, host and port."""
    wanted = normalise(origin)
    return wanted is not None and any(each == ANY or wanted == normalise(each) for each in allowed)


def own_origins(scope: Any, headers: dict[bytes, str]) -> list[str]:
    """Return the site's origin as this request names it, if it names one of ALLOWED_HOSTS."""
    host = headers.get(b"host", "")
    domain, _ = split_domain_port(host)
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS or local_hosts()):
        return []
    redirects = getattr(settings, "SECURE_SSL_REDIRECT", False)
    secure = redirects or scope.get("scheme") in {"wss", "https"}
    return [f"{'https' if secure else 'http'}://{host}"]


def local_hosts() -> Sequence[str]:
    """Return what Django takes for ALLOWED_HOSTS while a project that says nothing is written."""
    return LOCAL_HOSTS if settings.DEBUG else ()


def normalise(origin: str) -> tuple[str, str, int] | None:
    """Return scheme, host and port, None for what is no web origin (``null``, a file, nothing)."""
    try:
        parts = urlsplit(origin.lower())
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except (KeyError, ValueError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None

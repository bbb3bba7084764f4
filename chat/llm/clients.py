"""One HTTP client per model server and event loop."""

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import openai

from chat.conf import chat_settings

MAX_CONNECTIONS = 1000

ClientKey = tuple[int, str, str]
_lives: dict[ClientKey, AsyncGenerator[openai.AsyncOpenAI, None]] = {}
_clients: dict[ClientKey, openai.AsyncOpenAI] = {}


async def shared_client(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    """Return the client for this server, opened in the running event loop and closed with it."""
    key = (id(asyncio.get_running_loop()), base_url, api_key)
    if (client := _clients.get(key)) is None:
        # A suspended generator is the one thing that every way to end an event
        # loop (asyncio.run, asgiref, uvicorn) closes, so it holds the client.
        life = _lives[key] = _life(key)
        client = await anext(life)
    return client


class Backlog:
    """
    What a response has received and nobody has read yet.

    While it is on hold, a fast server's packets stay in the kernel: each
    otherwise wakes the event loop, which costs more than all that is done with
    it. Without aiohttp below the response, or when its connection is gone,
    nothing is held and nothing is known to be there.
    """

    def __init__(self, response: httpx2.Response) -> None:
        # httpx2 has no public way to its transport's response.
        stream = getattr(response.stream, "_stream", response.stream)
        self._below = getattr(stream, "_aiohttp_response", None)
        self._held: Any = None
        # Only what is the body as it is: httpx2 unpacks, aiohttp does not.
        is_plain = response.headers.get("content-encoding", "identity") == "identity"
        self._content = getattr(self._below, "content", None) if is_plain else None

    def take(self, size: int) -> bytes:
        """Return what is there, past the layers that would have to wait for it; or nothing."""
        content = self._content
        if content is None or content.exception() is not None:
            return b""
        data: bytes = content.read_nowait(size)
        return data

    def hold(self) -> None:
        connection = getattr(self._below, "connection", None)
        if connection is not None and (transport := connection.transport) is not None:
            # Not through aiohttp's protocol, which would stop and start its parser as well.
            transport.pause_reading()
            self._held = transport

    def rest(self) -> bytes:
        """Return what arrived before a connection broke; aiohttp itself only raises then."""
        content = getattr(self._below, "content", None)
        return b"".join(getattr(content, "_buffer", ()))

    def let_go(self) -> None:
        if self._held is not None:
            self._held.resume_reading()
            self._held = None


async def close_clients() -> None:
    """Close the clients of the running event loop."""
    loop_id = id(asyncio.get_running_loop())
    for key in [key for key in _lives if key[0] == loop_id]:
        await _lives[key].aclose()


async def _life(key: ClientKey) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    client = _clients[key] = _open(*key[1:])
    try:
        yield client
    finally:
        _clients.pop(key, None)
        _lives.pop(key, None)
        await client.close()


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the context of all clients; reading the certificates takes a while."""
    return httpx2.create_ssl_context()


def _open(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    # No read timeout: comments would reset it. The reader of the stream has its own timers.
    connect = chat_settings().connect_timeout
    timeout = httpx2.Timeout(connect=connect, read=None, write=10, pool=connect + 5)
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=30)
    http = openai.DefaultAioHttpClient(limits=limits, timeout=timeout, verify=tls_context())
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "unset",  # Local servers want none; the library wants one.
        max_retries=0,
        timeout=timeout,
        http_client=http,
    )

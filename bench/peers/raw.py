"""The least that an ASGI server can do: hand the upstream's bytes on, unparsed."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

UPSTREAM = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

client: aiohttp.ClientSession | None = None


def http() -> aiohttp.ClientSession:
    global client
    if client is None:
        client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
    return client


async def read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return bytes(body)


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = await read_body(receive)
    headers = {"Content-Type": "application/json"}
    async with http().post(UPSTREAM, data=body, headers=headers) as response:
        kind = response.headers["Content-Type"].encode()
        start = {"type": "http.response.start", "status": response.status}
        await send(start | {"headers": [(b"content-type", kind)]})
        async for data in response.content.iter_any():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body"})

"""
Probes for whoever watches the process: is it alive, should it get requests.

They need no account, tell nothing about anybody, and are answered before any
other middleware: a probe comes by whatever name and scheme the process has
inside, and must be right when sessions or the database are not.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from chat.background import spawn
from chat.conf import outer_setting
from chat.database import in_database
from chat.drain import is_draining

OK = "ok"
CHECK_SECONDS = 1.5  # All checks together; the answer comes within two seconds.

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@async_only_middleware
def answer_probes(get_response: GetResponse) -> GetResponse:
    """Middleware, to stand first: answer /livez and /readyz, pass on the rest."""

    async def respond(request: HttpRequest) -> HttpResponseBase:
        probe = PROBES.get(request.path_info)
        if probe is None:
            return await get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = await probe()
        response["Cache-Control"] = "no-store"
        return response

    return respond


async def livez() -> HttpResponse:
    """Answer 200: the process runs and its event loop turns."""
    return HttpResponse("ok\n", content_type="text/plain")


async def readyz() -> HttpResponse:
    """
    Answer whether requests should come here: 200, or 503 saying which part is wrong.

    Draining is looked at last, so that it is told even when the rest is well.
    """
    checks: dict[str, Awaitable[str]] = {"database": _bounded("database", _database)}
    if outer_setting("REDIS_URL"):
        checks["redis"] = _bounded("redis", _redis)
    parts = dict(zip(checks, await asyncio.gather(*checks.values()), strict=True))
    parts["draining"] = "yes" if is_draining() else "no"
    ready = all(state in (OK, "no") for state in parts.values())
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


PROBES: dict[str, Callable[[], Awaitable[HttpResponse]]] = {"/livez": livez, "/readyz": readyz}


async def _database() -> str:
    global _is_migrated
    if _is_migrated:
        await in_database(_ask_database)
    else:
        _is_migrated = await in_database(_is_up_to_date)
    return OK if _is_migrated else "migrations are missing"


_is_migrated = False  # Once true it stays so: it is new code that brings new migrations.


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _is_up_to_date() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


async def _redis() -> str:
    from redis.asyncio import Redis

    async with Redis.from_url(outer_setting("REDIS_URL")) as client:
        await client.ping()
    return OK


async def _bounded(name: str, check: Callable[[], Awaitable[str]]) -> str:
    # One check of a part at a time: of those that hang, a probe every second
    # would otherwise take one database thread after the other.
    running = _running.get(name)
    if running is None or running.done() or running.get_loop() is not asyncio.get_running_loop():
        running = _running[name] = spawn(_judge(name, check))
    await asyncio.wait([running], timeout=CHECK_SECONDS)
    return _judged[name] if running.done() else "does not answer"


async def _judge(name: str, check: Callable[[], Awaitable[str]]) -> None:
    try:
        _judged[name] = await check()
    except Exception:  # Whatever a driver raises; what it says may name hosts and users.
        _judged[name] = "fails"


_running: dict[str, asyncio.Task[Any]] = {}
_judged: dict[str, str] = {}

"""What a serving process does before its first connection and after its last."""

import asyncio
import logging
import signal
import threading
from functools import partial
from typing import Any

from chat import drain, garbage
from chat.background import spawn
from chat.bus import bus
from chat.conf import chat_settings
from chat.generations import engine, recover, shutdown
from chat.llm.registry import warm_up
from chat.readers import hear

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05


class Lifecycle:
    """
    ASGI middleware that starts up once per process.

    A server with the lifespan protocol says when. Daphne has none, so there the
    first connection does, and later ones wait until it is done.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self._startup: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        await self.startup()
        await self.app(scope, receive, send)

    async def startup(self) -> None:
        """Recover what a dead process left, and prepare for the first answer. Once."""
        if self._startup is None:
            self._startup = asyncio.create_task(self._start())
        if not self._startup.done():
            await asyncio.shield(self._startup)

    async def _start(self) -> None:
        await bus().start()
        hear()
        interrupted = await recover()
        if interrupted:
            logger.warning("%d answers were interrupted by the end of a process", interrupted)
        self._warming = asyncio.create_task(_warm_up())

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            await self.startup()
        except Exception as exc:
            logger.exception("Start-up failed")
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        drain_before_the_server_ends()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await end_runs()
        await send({"type": "lifespan.shutdown.complete"})


async def send_readers_away() -> None:
    """
    Begin to drain. Return when readers have had their turn and a proxy had time to look.

    The server still listens meanwhile: it says that it is not ready.
    """
    drain.begin()
    if _is_busy():
        logger.warning("Ending when the running answers have; a second signal ends them now")
    # Looked at now and then: what it depends on changes in many places.
    while drain.time_left(drain.jitter()) and _is_busy():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)


def _is_busy() -> bool:
    return drain.has_readers() or engine().is_busy


async def end_runs() -> None:
    """Give running answers the rest of the drain to end by themselves, then interrupt them."""
    drain.begin()
    ended = spawn(engine().idle())
    hurried = spawn(drain.hurried())
    left = drain.time_left(chat_settings().drain_seconds)
    await asyncio.wait([ended, hurried], timeout=left, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    await shutdown()


def drain_before_the_server_ends() -> None:
    """
    Put a drain before what the server does on SIGTERM and SIGINT.

    By itself a server stops listening, ends sockets all at once and waits for
    event streams, which do not end by themselves; only then it tells.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        act = signal.getsignal(number)
        if callable(act) and act is not signal.default_int_handler:
            loop = asyncio.get_running_loop()
            signal.signal(number, partial(_on_signal, loop, act))


def _on_signal(loop: asyncio.AbstractEventLoop, act: Any, number: int, _frame: Any) -> None:
    async def drain_and_act() -> None:
        await send_readers_away()
        act(number, None)

    def begin_or_hurry() -> None:
        if drain.signalled():
            spawn(drain_and_act())

    loop.call_soon_threadsafe(begin_or_hurry)


async def _warm_up() -> None:
    await warm_up()
    # What has been imported stays.
    garbage.begin(lambda: engine().is_busy)

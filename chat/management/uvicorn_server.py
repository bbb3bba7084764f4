"""
Uvicorn, set up for long streams, in this process or in several workers.

Import this module only where uvicorn is wanted: it is an optional package.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable

from django.conf import settings
from uvicorn import Config, Server
from uvicorn.supervisors import Multiprocess

from chat.conf import MAX_FRAME_BYTES, chat_settings
from chat.management.uvicorn_protocols import HttpProtocol, SocketProtocol

BACKLOG = 2048
READY_SECONDS = 60.0


class WorkersFailed(Exception):
    """Raised when a worker does not come up; its output says why."""


def configure(workers: int) -> Config:
    """Return uvicorn's settings for the site."""
    chat = chat_settings()
    module, _, name = settings.ASGI_APPLICATION.rpartition(".")
    return Config(
        f"{module}:{name}",
        workers=workers,
        http=HttpProtocol,
        ws=SocketProtocol,
        lifespan="on",
        log_config=None,  # Django's stands.
        access_log=False,
        server_header=False,
        proxy_headers=False,  # As under Daphne: only the setting HTTPS trusts a proxy.
        backlog=BACKLOG,
        ws_max_size=MAX_FRAME_BYTES,
        ws_max_queue=8,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ws_per_message_deflate=False,
        timeout_keep_alive=20,
        # When this begins, readers have been sent away; running answers are waited for after it.
        timeout_graceful_shutdown=max(
            2, round(chat.drain_seconds - min(chat.drain_jitter_seconds, chat.drain_seconds))
        ),
        timeout_worker_healthcheck=10,
        h11_max_incomplete_event_size=16_384,
    )


class OneProcess(Server):
    """Serves from this process. ``on_ready`` is called when it does."""

    def __init__(self, config: Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


class Workers(Multiprocess):
    """Serves from worker processes, and passes every signal to end on to them."""

    def __init__(
        self, config: Config, listener: socket.socket, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config, [listener])
        self._on_ready = on_ready

    def init_processes(self) -> None:
        super().init_processes()
        deadline = time.monotonic() + READY_SECONDS
        for process in self.processes:
            while not process.is_ready(timeout=1):
                if self._is_told_to_end():
                    return
                if not process.process.is_alive() or time.monotonic() > deadline:
                    for other in self.processes:
                        other.kill()
                        other.join()
                    raise WorkersFailed("A worker did not start.")
                time.sleep(0.1)
        self._on_ready()

    def join_all(self) -> None:
        self.signal_queue.clear()
        while alive := [each for each in self.processes if each.process.is_alive()]:
            if self._is_told_to_end():
                self.signal_queue.clear()
                for process in alive:
                    os.kill(process.process.pid or 0, signal.SIGTERM)
            time.sleep(0.1)
        super().join_all()

    def _is_told_to_end(self) -> bool:
        return bool({signal.SIGINT, signal.SIGTERM}.intersection(self.signal_queue))


def serve(
    loop: asyncio.AbstractEventLoop,
    *,
    workers: int,
    listener: socket.socket,
    on_ready: Callable[[], None],
) -> None:
    """Serve until a signal to end. One worker is this process, on that event loop."""
    config = configure(workers)
    if workers > 1:
        Workers(config, listener, on_ready).run()
    else:
        loop.run_until_complete(OneProcess(config, on_ready).serve([listener]))

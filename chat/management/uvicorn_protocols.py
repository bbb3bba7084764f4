"""
What uvicorn lacks: bounds on how long a request takes to arrive, how long a
reader reads nothing, and how many frames a socket sends.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chat.bodies import PATIENCE
from chat.conf import MAX_BODY_BYTES, chat_settings
from chat.management.frame_budget import POLICY_VIOLATION, FrameBudget
from chat.management.limits import (
    BODY_SECONDS,
    GRACE_SECONDS,
    HEAD_SECONDS,
    LINGER_SECONDS,
    longest_frame,
    untaken,
)

__all__ = ["HttpProtocol", "SocketProtocol"]

INVALID_TEXT = 1007


class Watched:
    """Cut off a reader that takes no byte for ``SLOW_READER_SECONDS``."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _watch: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._look_later()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)  # type: ignore[misc]

    def _look_later(self) -> None:
        seconds = chat_settings().slow_reader_seconds + GRACE_SECONDS
        self._watch = self.loop.call_later(seconds, self._look, self._untaken())

    def _look(self, before: int) -> None:
        # Closing would wait for what the reader does not take.
        if self._untaken() >= before:
            self.transport.abort()
        else:
            self._look_later()

    def _untaken(self) -> int:
        kernel = untaken(self.transport.get_extra_info("socket"))
        return self.transport.get_write_buffer_size() + kernel

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class HttpProtocol(Watched, AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """HTTP, with a deadline for each request's arrival."""

    _deadline: asyncio.TimerHandle | None = None
    _thrown_away = 0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger.addFilter(_is_news)

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._expect(HEAD_SECONDS)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            self._expect(None)
        elif self.cycle is None or self.cycle.response_complete:
            self._discard(len(data))
        elif not self.cycle.more_body:
            self._expect(None)
        elif self.cycle is not cycle or self._deadline is None:
            self._expect(BODY_SECONDS)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._thrown_away = 0

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        super().connection_lost(exc)

    def _discard(self, size: int) -> None:
        """The next request's head, or the rest of a body that was refused."""
        self._thrown_away += size
        if self._thrown_away > PATIENCE * MAX_BODY_BYTES:
            self.transport.abort()
        elif self._deadline is None:
            self._expect(HEAD_SECONDS)

    def _expect(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        abort = self.transport.abort
        self._deadline = None if seconds is None else self.loop.call_later(seconds, abort)

    def _should_upgrade(self) -> bool:
        # HTTP/1.0 has no upgrades; passed on, it would be read as HTTP/1.1.
        upgrades: bool = super()._should_upgrade()
        return upgrades and self.scope["http_version"] == "1.1"


class SocketProtocol(Watched, WebSocketsSansIOProtocol):
    """A WebSocket with a budget of frames, whose client gets to see why it was closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._budget = FrameBudget()
        self._lingers = False

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            said = b"".join(self.conn.data_to_send())
            self.transport.write(said or b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        self.conn.max_message_size = longest_frame(event.path.partition("?")[0])
        super().handle_connect(event)

    def handle_events(self) -> None:
        if self.handshake_complete and not self._budget.spend(len(self.conn.events)):
            self.conn.fail(POLICY_VIOLATION, "Too many frames")
            self.handle_parser_exception()
        else:
            super().handle_events()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(self.frames):
            self.conn.fail(INVALID_TEXT, "This is not UTF-8")
            self.handle_parser_exception()
        elif not self._lingers:
            super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Say why, and hang up a little later."""
        if self._lingers:
            return
        self._lingers = self.close_sent = True
        sent = self.conn.close_sent
        code, reason = (sent.code, sent.reason) if sent else (1006, "")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.resume_reading()
        # Set, it also keeps uvicorn from closing when the application ends.
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Send. Raise ClientDisconnected, an OSError, once the socket is being closed."""
        await self.writable.wait()
        if self.close_sent:  # uvicorn would call it an error of the application.
            raise ClientDisconnected
        await super().send(message)


def _is_news(record: logging.LogRecord) -> bool:
    # Some dialects break their answers off: their clients know an error by nothing else.
    return record.msg != "ASGI callable returned without completing response."


def _is_utf8(parts: list[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True

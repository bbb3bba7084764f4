"""Daphne's WebSocket, fit for clients that send without end."""

from typing import Any

from twisted.internet import reactor

from chat.management.frame_budget import POLICY_VIOLATION, FrameBudget
from chat.management.limits import LINGER_SECONDS, longest_frame
from chat.management.websocket import LeanProtocol

WAITING_FRAMES = 8  # Past them, no more is read until the application has taken some.
LOOK_SECONDS = 0.02


class ChatSocket(LeanProtocol):
    """
    A WebSocket with a budget of frames, read no faster than the application takes them.

    Daphne itself queues all that comes, and answers each ping of a client that
    sends nothing else.
    """

    flooded = False

    def __init__(self) -> None:
        super().__init__()
        self._budget = FrameBudget()

    def onConnect(self, request: Any) -> Any:
        self.maxFramePayloadSize = self.maxMessagePayloadSize = longest_frame(request.path)
        return super().onConnect(request)

    def dataReceived(self, data: bytes) -> None:
        if not self.flooded:
            super().dataReceived(data)

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        if not self._budget.spend() and not self.flooded:
            self.flooded = True
            self.sendCloseFrame(code=POLICY_VIOLATION, reasonUtf8=b"Too many frames", isReply=False)
            self.data = b""  # What has been read, but not yet cut into frames.
            reactor.callLater(LINGER_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    def serverClose(self, code: int | None = None) -> None:
        # Autobahn's own sendClose() refuses the codes below 3000 that servers
        # may use, such as 1012 before a restart.
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=1000 if code is None else code, isReply=False)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        if self.flooded:
            return
        super().onMessage(payload, isBinary)
        if self.application_queue.qsize() > WAITING_FRAMES:
            self.transport.pauseProducing()
            self._look_later()

    def _look_later(self) -> None:
        reactor.callLater(LOOK_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self.application_queue.qsize() > WAITING_FRAMES:
            self._look_later()
        else:
            self.transport.resumeProducing()

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.flooded = True

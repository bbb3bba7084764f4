"""Daphne's end of a WebSocket, as cheap as its frames are small."""

from daphne.ws_protocol import WebSocketProtocol

FINAL_TEXT = b"\x81"


class LeanProtocol(WebSocketProtocol):  # type: ignore[misc]
    """
    Write text frames to the transport as they are.

    autobahn's own way counts every byte and words a coloured log entry for each
    frame, shown or not, which costs as much as the system call that sends it.
    """

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:
        is_usual = not binary and self.state == self.STATE_OPEN and not self.send_queue
        if not is_usual or isinstance(content, bytes):
            super().serverSend(content, binary)
            return
        payload = content.encode()
        self.transport.write(b"".join((FINAL_TEXT, _length(len(payload)), payload)))


def _length(size: int) -> bytes:
    if size < 126:
        return bytes((size,))
    if size < 65_536:
        return b"\x7e" + size.to_bytes(2, "big")
    return b"\x7f" + size.to_bytes(8, "big")

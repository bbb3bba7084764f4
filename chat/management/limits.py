"""What one connection may cost, on any server: time and frames."""

import fcntl
import socket
import struct
import termios
from typing import Any

from chat.conf import MAX_BODY_BYTES, MAX_FRAME_BYTES
from chat.origins import DIALECT_PATHS

# For a request's head, and for all of its body: however slowly they are sent,
# a connection that asks for nothing costs little for long.
HEAD_SECONDS = 20
BODY_SECONDS = 60

# The application closes a slow reader by name; the server cuts off what that leaves.
GRACE_SECONDS = 5

# How long a connection that was closed for a fault is still read, and what
# comes thrown away: closed at once, it would be reset before the client has
# seen the close code.
LINGER_SECONDS = 1.0

# A peer that acknowledges nothing for so long has vanished. Without a bound the
# kernel would hold on to its connection for a quarter of an hour.
VANISHED_SECONDS = 30


def give_up_the_vanished(listener: Any) -> None:
    """Let the kernel end the connections of a listening socket that acknowledge nothing."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Connections inherit it.
        milliseconds = VANISHED_SECONDS * 1000
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def untaken(connection: Any) -> int:
    """
    Return how many bytes the kernel still holds for the peer of a connection, by its ``fileno()``.

    It takes megabytes before it says that more could be written: without this,
    who reads little at a time looks like one who reads nothing. 0 where it does not tell.
    """
    try:
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("i", queued)[0])


def longest_frame(path: str) -> int:
    """Return how long a WebSocket's frames may be. Some tell a conversation, as bodies do."""
    return MAX_BODY_BYTES if path.endswith(DIALECT_PATHS) else MAX_FRAME_BYTES

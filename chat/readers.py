"""
The readers that this process has open: sockets, event streams, long-polls.

Each belongs to an identity. They are counted against limits, told the news of
their user, and ended with their session or key: whichever process changes
something, the bus tells the others.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from chat.background import spawn
from chat.bus import BaseBus, bus
from chat.conf import chat_settings
from chat.errors import Overloaded, RateLimited
from chat.identity import Identity, is_valid

logger = logging.getLogger(__name__)

# How often identities are looked at again, should nobody tell of their end.
RECHECK_SECONDS = 30.0

Frame = dict[str, Any]


class Reader:
    """One open reader. Once ``revoked`` is set, nothing more may be sent to it."""

    __slots__ = ("_on_news", "_on_revoked", "identity", "loop", "revoked")

    def __init__(
        self,
        identity: Identity,
        on_revoked: Callable[[], None] | None,
        on_news: Callable[[Frame], None] | None,
    ) -> None:
        self.identity = identity
        self.revoked = False
        self.loop = asyncio.get_running_loop()
        self._on_revoked = on_revoked
        self._on_news = on_news

    def revoke(self) -> None:
        """May be called from any thread."""
        if not self.revoked:
            self.revoked = True
            if self._on_revoked:
                self.loop.call_soon_threadsafe(self._on_revoked)

    def tell(self, frame: Frame) -> None:
        """May be called from any thread."""
        if self._on_news:
            self.loop.call_soon_threadsafe(self._pass_on, frame)

    def _pass_on(self, frame: Frame) -> None:
        if self._on_news and not self.revoked:
            self._on_news(frame)


_open: dict[str, set[Reader]] = {}  # By user, whose id is text on the bus.
_count = 0
_changed: dict[str, float] = {}  # When a user's identities last changed, for as long as it matters.
_rechecking = False
_heard: BaseBus | None = None


@contextmanager
def open_reader(
    identity: Identity,
    *,
    on_revoked: Callable[[], None] | None = None,
    on_news: Callable[[Frame], None] | None = None,
) -> Iterator[Reader]:
    """
    Hold a reader open.

    ``on_news`` gets the frames that the reader's user is told; it must not
    wait. Raise Overloaded when the process has ``MAX_READERS``, RateLimited when the
    user has ``MAX_READERS_PER_USER``.
    """
    global _count, _rechecking
    settings = chat_settings()
    user_id = str(identity.user.pk)
    if _count >= settings.max_readers:
        raise Overloaded(retry_after=5)
    limit = settings.max_readers_per_user
    if len(_open.get(user_id, ())) >= limit:
        raise RateLimited(f"{limit} readers are open for you. Close one first.", retry_after=5)
    hear()
    reader = Reader(identity, on_revoked, on_news)
    _open.setdefault(user_id, set()).add(reader)
    _count += 1
    if not _rechecking:
        _rechecking = True
        spawn(_recheck_all())
    if _changed.get(user_id, -1.0) >= identity.asked_at:
        # It changed between the look at the identity and now, when nobody could tell this reader.
        spawn(_recheck([reader]))
    try:
        yield reader
    finally:
        _count -= 1
        _open[user_id].discard(reader)
        if not _open[user_id]:
            del _open[user_id]


def revoke(user_id: Any, *, session_key: str | None = None) -> None:
    """
    End the readers of a user, or of one session of theirs, in every process.

    May be called from any thread, and from a process that serves nobody.
    """
    hear()
    bus().publish_soon("revoked", user=str(user_id), session=_fingerprint(session_key))


def recheck(user_id: Any) -> None:
    """See revoke(). End those whose session or key is not valid any more."""
    hear()
    bus().publish_soon("recheck", user=str(user_id))


def tell(user_id: Any, frame: Frame) -> None:
    """Tell the readers that a user has open in this process. From any thread."""
    for reader in list(_open.get(str(user_id), ())):
        reader.tell(frame)


def hear() -> None:
    """Listen to what other processes tell readers. Once; in tests, for each new bus."""
    global _heard
    if _heard is bus():
        return
    _heard = bus()
    _heard.subscribe("news", lambda message: tell(message["user"], message["frame"]))
    _heard.subscribe("revoked", lambda message: _revoke(message["user"], message["session"]))
    _heard.subscribe("recheck", lambda message: _recheck_soon(message["user"]))


def _fingerprint(session_key: str | None) -> str | None:
    """Return what names a session to other processes: its key would be a password in a log."""
    return hashlib.sha256(session_key.encode()).hexdigest() if session_key else None


def _revoke(user_id: str, session: str | None) -> None:
    _note_change(user_id)
    for reader in list(_open.get(user_id, ())):
        if session is None or _fingerprint(reader.identity.session_key) == session:
            reader.revoke()


def _recheck_soon(user_id: str) -> None:
    _note_change(user_id)
    readers = list(_open.get(user_id, ()))
    if readers:
        readers[0].loop.call_soon_threadsafe(lambda: spawn(_recheck(readers)))


def _note_change(user_id: str) -> None:
    now = monotonic()
    for each in [each for each, when in list(_changed.items()) if now - when > RECHECK_SECONDS]:
        _changed.pop(each, None)
    _changed[user_id] = now


async def _recheck(readers: list[Reader]) -> None:
    valid: dict[Identity, bool] = {}
    for reader in readers:
        identity = reader.identity
        if identity not in valid:
            try:
                valid[identity] = await is_valid(identity)
            except Overloaded:
                return  # The next round will tell.
        if not valid[identity]:
            reader.revoke()


async def _recheck_all() -> None:
    global _rechecking
    try:
        while _open:
            await asyncio.sleep(RECHECK_SECONDS)
            for readers in list(_open.values()):
                await _recheck(list(readers))
    finally:
        _rechecking = False

"""A bus by PostgreSQL's LISTEN and NOTIFY."""

from time import monotonic
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from chat.bus.remote import QUIET_SECONDS, RemoteBus

# A peer that has vanished is noticed in seconds, not in the two hours of the default.
TCP_OPTIONS = {
    "connect_timeout": 2,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Of Django's parameters, those that fit its own cursors only.
NOT_OURS = ("cursor_factory", "context", "prepare_threshold", "row_factory", "autocommit")

NOTIFY = "SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload"


class PostgresBus(RemoteBus):
    """
    Two connections per process, to the site's database but not of its pool.

    A pooler that shares connections between transactions cannot be in between:
    a subscription belongs to a connection.
    """

    # A NOTIFY takes a lock of the whole database server when it commits, so
    # they are few. A publisher that keeps to ten per second never waits.
    period_seconds = 0.095

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        """Take what psycopg connects with; by default that of the site's database."""
        super().__init__()
        self._params = params
        self._sender: psycopg.AsyncConnection[Any] | None = None
        self._used_at = 0.0

    def _connection_params(self) -> dict[str, Any]:
        params = self._params
        if params is None:
            params = connections["default"].get_connection_params()
        ours = {name: value for name, value in params.items() if name not in NOT_OURS}
        return ours | TCP_OPTIONS | {"application_name": "chat bus"}

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        params = self._connection_params()
        return await psycopg.AsyncConnection.connect(
            autocommit=True, prepare_threshold=None, **params
        )

    async def _listen(self) -> None:
        async with await self._connect() as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self._works("listen")
            while True:
                async for notice in connection.notifies(timeout=QUIET_SECONDS):
                    self._hear(notice.payload)
                await connection.execute("SELECT 1")

    async def _get_ready(self) -> None:
        sender = self._sender
        if sender is not None and monotonic() - self._used_at > 1:
            try:  # It may have been lost since, and a message would be lost with it.
                await sender.execute("SELECT 1")
            except psycopg.Error:
                await self._disconnect()
            except BaseException:  # Out of time, with the answer still to come.
                await self._disconnect()
                raise
        if self._sender is None:
            self._sender = await self._connect()

    async def _transmit(self, payloads: list[str]) -> None:
        assert self._sender is not None
        try:
            await self._sender.execute(NOTIFY, [self._channel, payloads])
            self._used_at = monotonic()
        except BaseException:
            await self._disconnect()
            raise

    def _transmit_now(self, payloads: list[str]) -> None:
        params = self._connection_params()
        with psycopg.connect(autocommit=True, prepare_threshold=None, **params) as connection:
            connection.execute(NOTIFY, [self._channel, payloads])

    async def _disconnect(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            await sender.close()

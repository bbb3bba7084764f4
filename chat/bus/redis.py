"""A bus by Redis's PUBLISH and SUBSCRIBE."""

from time import monotonic

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from chat.bus.remote import QUIET_SECONDS, RemoteBus
from chat.redis import connect


class RedisBus(RemoteBus):
    """One client per process, with a connection that listens and one that sends."""

    period_seconds = 0.02

    def __init__(self) -> None:
        super().__init__()
        self._client: redis.asyncio.Redis | None = None
        self._used_at = 0.0

    async def _listen(self) -> None:
        client = connect()
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(self._channel)
                await self._hear_all(subscription)
        finally:
            await client.aclose()

    async def _hear_all(self, subscription: redis.asyncio.client.PubSub) -> None:
        heard_at = monotonic()
        while True:
            message = await subscription.get_message(timeout=QUIET_SECONDS)
            if message is not None:
                heard_at = monotonic()
                if message["type"] == "message":
                    self._hear(message["data"])
                elif message["type"] == "subscribe":
                    self._works("listen")
            elif monotonic() - heard_at > 2 * QUIET_SECONDS:
                raise redis.TimeoutError("Redis does not answer")
            else:
                await subscription.ping()

    async def _get_ready(self) -> None:
        if self._client is None:
            self._client = connect()
        if monotonic() - self._used_at > 1:
            try:  # A stale connection is found out here, not by losing a message.
                await self._client.ping()
            except redis.RedisError:
                await self._client.ping()

    async def _transmit(self, payloads: list[str]) -> None:
        assert self._client is not None
        async with self._client.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.publish(self._channel, payload)
            await pipeline.execute()
        self._used_at = monotonic()

    def _transmit_now(self, payloads: list[str]) -> None:
        client = redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=1,
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            for payload in payloads:
                client.publish(self._channel, payload)

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

"""Connections to Redis."""

from django.conf import settings
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

MAX_CONNECTIONS = 32


def connect() -> Redis:
    """
    Return a new client of ``REDIS_URL``, for this event loop; close it with aclose().

    Every call ends within seconds, and fails after the first attempt: whoever
    calls knows best whether to try again. Raises redis.RedisError.
    """
    pool = BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        max_connections=MAX_CONNECTIONS,
        timeout=2,  # For a connection to become free.
        socket_connect_timeout=2,
        socket_timeout=5,
        health_check_interval=30,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)

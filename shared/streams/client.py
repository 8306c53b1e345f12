"""The connection to Redis or Valkey, and the errors after which work goes on without it."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

REDIS_ERRORS = (RedisError, OSError, TimeoutError)

CONNECT_TIMEOUT_SECONDS = 2
# Longer than any blocking read, so that only a silent peer runs into it.
SOCKET_TIMEOUT_SECONDS = 5


def open_redis(url: str) -> Redis:
    """A client that connects when first used, so that a service starts while Redis is away."""
    # A unix socket's connection does not know the option.
    keepalive = {} if url.startswith("unix:") else {"socket_keepalive": True}
    client: Redis = Redis.from_url(
        url, socket_connect_timeout=CONNECT_TIMEOUT_SECONDS, socket_timeout=SOCKET_TIMEOUT_SECONDS, **keepalive
    )
    return client

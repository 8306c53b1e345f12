"""Servers that the environment names: reached once before any service starts; a typo costs one line.

A program of its own, so that the supervisor need not hold two drivers for the rest of its life.
"""

import asyncio
import sys

import asyncpg
import redis

from deploy.local.faults import CannotStart
from deploy.local.settings import read_settings

ANSWER_SECONDS = 10.0


def main() -> int:
    settings = read_settings()
    try:
        if settings.database_url:
            asyncio.run(check_database(settings.database_url))
        if settings.redis_url:
            check_redis(settings.redis_url)
    except CannotStart as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


async def check_database(url: str) -> None:
    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_SECONDS)
        await connection.close()
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise CannotStart(f"PAO_DATABASE_URL cannot be used: {_one_line(error)}") from error


def check_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS) as client:
            client.ping()
    except (OSError, ValueError, redis.RedisError) as error:
        raise CannotStart(f"PAO_REDIS_URL cannot be used: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())

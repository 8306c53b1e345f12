"""The buckets that all gateways share: in Redis, each with a time to live, changed by one script."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from services.gateway.limits.gcra import Taken, Wish

PREFIX = "rate:"
SCRIPT = (Path(__file__).parent / "take.lua").read_text(encoding="utf-8")
# The name under which Redis keeps a script.
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Buckets:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def take(self, names: Sequence[str], wishes: Sequence[Wish]) -> list[Taken]:
        """Raises one of REDIS_ERRORS when there is no Redis, or none that answers."""
        arguments = [PREFIX + name for name in names]
        for wish in wishes:
            numbers = (wish.rate.interval_us, wish.rate.limit, wish.cost, wish.at_most)
            arguments.extend(map(str, numbers))
        return [Taken(*numbers) for numbers in await self._run(len(names), arguments)]

    # redis-py types the answer of a script as text.
    async def _run(self, keys: int, arguments: list[str]) -> Any:  # noqa: ANN401
        try:
            return await self._redis.evalsha(SHA, keys, *arguments)  # type: ignore[misc]
        except NoScriptError:
            return await self._redis.eval(SCRIPT, keys, *arguments)  # type: ignore[misc]

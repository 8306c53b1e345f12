"""Doorbells: messages that say "look now". A lost one costs a poll, a doubled one a look in vain."""

import asyncio
import contextlib
from enum import StrEnum

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.streams.client import REDIS_ERRORS

logger = structlog.get_logger(__name__)

BELLS_KEPT = 1000
# One bell wakes one executor, which fetches that many at once; more bells would wake others in vain.
WORK_PER_BELL = 50


class Bell(StrEnum):
    """The streams, and who listens: each bell wakes one member of the group."""

    DUE_WORK = "due-work"
    TASK_CHANGES = "task-changes"


LISTENERS = {
    Bell.DUE_WORK: "executors",
    Bell.TASK_CHANGES: "schedulers",
}


async def ring(redis: Redis, bell: Bell, times: int = 1) -> bool:
    """Put `times` messages on the stream. False when Redis was away: the listeners' own poll makes up for it."""
    try:
        pipeline = redis.pipeline(transaction=False)
        for _ in range(times):
            pipeline.xadd(bell, {"look": "now"}, maxlen=BELLS_KEPT, approximate=True)
        await pipeline.execute()
    except REDIS_ERRORS as error:
        logger.warning("bell_not_rung", bell=bell, error=repr(error))
        return False
    return True


class Listener:
    """One member of a bell's group. Messages are read without acknowledgement: a bell that was heard by a process which
    then died is made up for by the poll."""

    def __init__(self, redis: Redis, bell: Bell, member: str) -> None:
        self._redis = redis
        self._bell = bell
        self._group = LISTENERS[bell]
        self._member = member
        self._is_joined = False

    async def heard(self, timeout_seconds: float) -> bool:
        """Wait up to `timeout_seconds` for a bell. Without Redis: wait that long and answer False."""
        try:
            if not self._is_joined:
                await self._join()
            messages = await self._redis.xreadgroup(
                self._group,
                self._member,
                {self._bell: ">"},
                count=100,
                block=max(1, round(timeout_seconds * 1000)),
                noack=True,
            )
        except REDIS_ERRORS as error:
            self._is_joined = False
            logger.warning("bell_not_heard", bell=self._bell, error=repr(error))
            # A group that vanished with the data is made anew at once; a Redis that is away is given its time.
            await asyncio.sleep(0 if "NOGROUP" in str(error) else timeout_seconds)
            return False
        return bool(messages)

    async def leave(self) -> None:
        """A member's name is its process's: left behind, the group would keep it for ever."""
        with contextlib.suppress(*REDIS_ERRORS):
            await self._redis.xgroup_delconsumer(self._bell, self._group, self._member)

    async def _join(self) -> None:
        try:
            await self._redis.xgroup_create(self._bell, self._group, id="$", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self._is_joined = True

"""Builds the scheduler from its settings, and starts and stops its parts in order."""

import asyncpg
from redis.asyncio import Redis

from services.scheduler.bell import Ringer
from services.scheduler.completer import Completer
from services.scheduler.materialiser import Materialiser
from services.scheduler.relay import Relay
from services.scheduler.resumer import Resumer
from services.scheduler.sealer import Sealer
from services.scheduler.settings import SchedulerSettings
from services.scheduler.tallier import Tallier
from shared.database.pool import open_pool
from shared.runtime.heartbeat import Heartbeat
from shared.runtime.listening import Listening
from shared.runtime.loop import Running
from shared.runtime.run_updates import RunUpdates
from shared.streams.client import open_redis
from shared.streams.doorbell import Bell, Listener

SERVICE = "scheduler"


class Scheduler:
    """One replica. It holds nothing that another could not take over."""

    def __init__(self, settings: SchedulerSettings, instance: str) -> None:
        self._settings = settings
        self._instance = instance
        self._parts: list[Running] = []
        self._pool: asyncpg.Pool | None = None
        self._redis: Redis | None = None

    async def start(self) -> None:
        settings = self._settings
        self._redis = open_redis(settings.redis_url)
        self._pool = await open_pool(settings.database_url, application_name=SERVICE, size=settings.database_pool_size)
        for part in self._assemble(self._pool, self._redis):
            await part.start()
            self._parts.append(part)

    async def stop(self) -> None:
        for part in reversed(self._parts):
            await part.stop()
        if self._pool is not None:
            await self._pool.close()
        if self._redis is not None:
            await self._redis.aclose()

    def _assemble(self, pool: asyncpg.Pool, redis: Redis) -> list[Running]:
        ringer = Ringer(redis)
        ringing = Running(ringer)
        updates = RunUpdates(redis)
        materialising = Running(Materialiser(pool, ringer, self._settings, ringing.wake, updates.tell))
        listener = Listener(redis, Bell.TASK_CHANGES, self._instance)
        return [
            ringing,
            Running(updates),
            materialising,
            Running(Listening(listener, materialising.wake)),
            Running(Completer(pool)),
            Running(Resumer(pool)),
            Running(Tallier(pool)),
            Running(Relay(pool, redis, self._instance)),
            Running(Sealer(pool)),
            Running(Heartbeat(pool, SERVICE, self._instance)),
        ]

"""Builds the gateway from its settings, and starts and stops its parts in order."""

import asyncpg
from redis.asyncio import Redis

from services.gateway.app import Parts, build_app
from services.gateway.auth.service import Authenticator
from services.gateway.bells import Bells
from services.gateway.clock import DatabaseClock
from services.gateway.database import Database
from services.gateway.health.revision import newest_revision
from services.gateway.health.service import HealthService
from services.gateway.server import HttpServer
from services.gateway.settings import GatewaySettings
from shared.database.pool import LIMITS, open_pool
from shared.runtime.heartbeat import Heartbeat
from shared.runtime.loop import Running
from shared.runtime.settings import parse_policy
from shared.streams.client import open_redis
from shared.telemetry.tracing import set_up_tracing

SERVICE = "gateway"
# For the heartbeat, the clock and the probes, which must not wait behind requests.
RESERVED_CONNECTIONS = 3


class Gateway:
    """One replica. It starts while the stores are away, and says so when asked for its health."""

    def __init__(self, settings: GatewaySettings, instance: str) -> None:
        self._settings = settings
        self._instance = instance
        self._running: list[Running] = []
        self._redis: Redis = open_redis(settings.redis_url)
        self._tracing = set_up_tracing(SERVICE, instance, otlp_endpoint=settings.otlp_endpoint)
        self._database = Database(
            settings.database_url,
            application_name=SERVICE,
            size=settings.database_pool_size,
            overflow=settings.database_pool_overflow,
        )
        self._reserved: asyncpg.Pool | None = None
        self._server: HttpServer | None = None
        self.port = settings.http_port

    async def start(self) -> None:
        self._reserved = await open_pool(
            self._settings.database_url, application_name=SERVICE, size=RESERVED_CONNECTIONS, limits=LIMITS
        )
        bells, clock = Bells(self._redis), DatabaseClock(self._reserved)
        app = build_app(self._parts(self._reserved, bells, clock))
        self._server = HttpServer(app, self._settings.http_host, self._settings.http_port)
        heartbeat = Heartbeat(self._reserved, SERVICE, self._instance)
        for part in (Running(bells), Running(clock), Running(heartbeat)):
            await part.start()
            self._running.append(part)
        self.port = await self._server.start()

    async def stop(self) -> None:
        """The server first: what it has begun may still want the parts."""
        if self._server is not None:
            await self._server.stop()
        for part in reversed(self._running):
            await part.stop()
        await self._database.close()
        if self._reserved is not None:
            await self._reserved.close()
        await self._redis.aclose()
        self._tracing.shutdown()

    def _parts(self, reserved: asyncpg.Pool, bells: Bells, clock: DatabaseClock) -> Parts:
        return Parts(
            database=self._database,
            authenticator=Authenticator(self._database, self._settings.token_key.encode()),
            bells=bells,
            clock=clock,
            health=HealthService(reserved, self._redis, newest_revision()),
            policy=parse_policy(self._settings.outbound_allow),
            tracer=self._tracing.get_tracer(SERVICE),
        )

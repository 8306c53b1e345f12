"""Builds the gateway from its settings, and starts and stops its parts in order."""

import asyncpg
from redis.asyncio import Redis

from services.gateway.app import Parts, build_app
from services.gateway.auth.parts import TokenEar
from services.gateway.auth.service import Authenticator
from services.gateway.clock import DatabaseClock
from services.gateway.database import Database
from services.gateway.health.revision import newest_revision
from services.gateway.health.service import HealthService
from services.gateway.http.cors import Cors
from services.gateway.http.edge import Gate
from services.gateway.http.paging import Cursors
from services.gateway.inbox.parts import InboxEar, InboxLook
from services.gateway.inbox.waiters import Waiters
from services.gateway.limits.failures import Allowed, FailedAttempts
from services.gateway.limits.limiter import Limiter
from services.gateway.limits.notes import FailureNotes
from services.gateway.limits.requests import Defaults, RequestLimits
from services.gateway.limits.store import Buckets
from services.gateway.live.wiring import Live
from services.gateway.replica import Readers
from services.gateway.server import HttpServer
from services.gateway.settings import GatewaySettings, parse_cors, parse_proxies
from shared.database.pool import LIMITS, open_pool
from shared.events.announcer import Announcer
from shared.runtime.bells import Bells
from shared.runtime.heartbeat import Heartbeat
from shared.runtime.loop import Running
from shared.runtime.run_updates import RunUpdates
from shared.runtime.settings import parse_policy
from shared.secrets.settings import parse_ring
from shared.streams.broadcast import Broadcast, Receiver
from shared.streams.client import open_redis
from shared.streams.inbox_bell import InboxListener
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
        self._readers = Readers(self._database, self._open_replica())
        self._reserved: asyncpg.Pool | None = None
        self._server: HttpServer | None = None
        self._authenticator = Authenticator(self._database, settings.token_key.encode())
        self._waiters = Waiters()
        self._live = Live(settings.database_url, self._redis)
        self._run_updates = RunUpdates(self._redis)
        self._notes = FailureNotes(self._database)
        self.port = settings.http_port

    async def start(self) -> None:
        self._reserved = await open_pool(
            self._settings.database_url, application_name=SERVICE, size=RESERVED_CONNECTIONS, limits=LIMITS
        )
        bells, clock = Bells(self._redis), DatabaseClock(self._reserved)
        announcer = Announcer(self._reserved, self._redis)
        app = build_app(self._parts(self._reserved, bells, announcer, clock))
        self._server = HttpServer(app, self._settings.http_host, self._settings.http_port)
        heartbeat = Heartbeat(self._reserved, SERVICE, self._instance)
        token_ear = TokenEar(Receiver(self._redis, Broadcast.TOKENS), self._authenticator)
        ear, look = InboxEar(InboxListener(self._redis), self._waiters), InboxLook(self._reserved, self._waiters)
        for part in (
            bells,
            announcer,
            clock,
            heartbeat,
            token_ear,
            ear,
            look,
            self._notes,
            self._run_updates,
            *self._live.parts,
        ):
            running = Running(part)
            await running.start()
            self._running.append(running)
        self.port = await self._server.start()

    async def stop(self) -> None:
        """Who waits for messages is told that there are none, and streams end; then the server: what it has begun may
        want the parts."""
        self._waiters.close()
        self._live.close()
        if self._server is not None:
            await self._server.stop()
        for part in reversed(self._running):
            await part.stop()
        await self._live.end()
        await self._readers.close()
        await self._database.close()
        if self._reserved is not None:
            await self._reserved.close()
        await self._redis.aclose()
        self._tracing.shutdown()

    def _open_replica(self) -> Database | None:
        url = self._settings.database_replica_url
        if url is None:
            return None
        return Database(
            url,
            application_name=f"{SERVICE}-lists",
            size=self._settings.database_pool_size,
            overflow=self._settings.database_pool_overflow,
        )

    def _parts(self, reserved: asyncpg.Pool, bells: Bells, announcer: Announcer, clock: DatabaseClock) -> Parts:
        authenticator = self._authenticator
        return Parts(
            database=self._database,
            readers=self._readers,
            cursors=Cursors(self._settings.token_key.encode()),
            authenticator=authenticator,
            gate=self._gate(authenticator),
            bells=bells,
            announcer=announcer,
            waiters=self._waiters,
            live=self._live.service(authenticator),
            run_updates=self._run_updates,
            clock=clock,
            health=HealthService(reserved, self._redis, newest_revision(), self._settings.ready_work_seconds),
            policy=parse_policy(self._settings.outbound_allow),
            ring=parse_ring(self._settings.secrets_key, self._settings.secrets_keys_old),
            tracer=self._tracing.get_tracer(SERVICE),
        )

    def _gate(self, authenticator: Authenticator) -> Gate:
        settings, limiter = self._settings, Limiter(Buckets(self._redis))
        origins = parse_cors(settings.cors_origins)
        return Gate(
            authenticator=authenticator,
            limits=RequestLimits(limiter, Defaults(settings.requests_per_minute, settings.task_creations_per_hour)),
            failed=FailedAttempts(
                limiter, self._notes, Allowed(settings.auth_failures_per_client, settings.auth_failures_in_all)
            ),
            cors=Cors(origins) if origins else None,
            trusted=parse_proxies(settings.trusted_proxies),
        )

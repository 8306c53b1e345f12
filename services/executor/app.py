"""Builds the executor from its settings, and starts and stops its parts in order."""

import asyncio
import contextlib

import asyncpg
from arq.connections import ArqRedis
from redis.asyncio import Redis

from services.executor.attempt import Means
from services.executor.cancelling import CancelWatch
from services.executor.chores import POOL, chores
from services.executor.claimer import Claimer
from services.executor.journal import JournalWriter
from services.executor.lease import LeaseKeeper
from services.executor.limiter import Limiter
from services.executor.pausing import FailurePauser
from services.executor.pipeline.program import Programs
from services.executor.recorder import Recorder
from services.executor.secrets import SecretStore
from services.executor.settings import ExecutorSettings
from services.executor.telling import Teller
from services.executor.toolbox import build_toolbox
from services.executor.worker import MEANS, ExecutorWorker
from shared.database.pool import open_pool
from shared.events.announcer import Announcer
from shared.runtime.bells import Bells
from shared.runtime.heartbeat import Heartbeat
from shared.runtime.listening import Listening
from shared.runtime.loop import Running
from shared.runtime.process import keep_what_was_loaded
from shared.runtime.run_updates import RunUpdates
from shared.secrets.settings import parse_ring
from shared.streams.broadcast import Broadcast, Receiver
from shared.streams.client import CONNECT_TIMEOUT_SECONDS, open_redis
from shared.streams.doorbell import Bell, Listener
from shared.telemetry.tracing import set_up_tracing

SERVICE = "executor"
# Leases are renewed however busy the other connections are.
LEASE_CONNECTIONS = 1


class Executor:
    """One replica. `run` returns after SIGTERM, when what ran here is recorded or handed back."""

    def __init__(self, settings: ExecutorSettings, instance: str) -> None:
        self._settings = settings
        self._instance = instance
        self._tracing = set_up_tracing(SERVICE, instance, otlp_endpoint=settings.otlp_endpoint)

    async def run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            worker = await self._start(stack)
            keep_what_was_loaded()
            # arq ends by cancelling its own main task.
            with contextlib.suppress(asyncio.CancelledError):
                await worker.async_run()

    async def _start(self, stack: contextlib.AsyncExitStack) -> ExecutorWorker:
        """What is entered last is left first: no more claims, then the worker, and the leases are kept to the end."""
        settings = self._settings
        stack.callback(self._tracing.shutdown)
        pool = await self._pool(stack, settings.database_pool_size)
        lease_pool = await self._pool(stack, LEASE_CONNECTIONS)
        redis = open_redis(settings.redis_url)
        stack.push_async_callback(redis.aclose)
        means = await self._means(stack, pool, redis)
        leases = LeaseKeeper(
            lease_pool, lease_seconds=settings.lease_seconds, renew_seconds=settings.lease_renew_seconds
        )
        await self._run_beside(stack, Running(Heartbeat(pool, SERVICE, self._instance)))
        await self._run_beside(stack, Running(leases))
        updates = RunUpdates(redis)
        await self._run_beside(stack, Running(updates))
        teller = Teller(updates)
        worker = await self._worker(stack, pool, means, leases, teller)
        stack.push_async_callback(worker.close)
        await self._start_claiming(stack, pool, worker, redis, teller)
        await self._watch_for_cancels(stack, pool, leases)
        return worker

    async def _means(self, stack: contextlib.AsyncExitStack, pool: asyncpg.Pool, redis: Redis) -> Means:
        settings = self._settings
        announcer, bells = Announcer(pool, redis), Bells(redis)
        await self._run_beside(stack, Running(announcer))
        await self._run_beside(stack, Running(bells))
        toolbox = build_toolbox(settings, pool, redis, announcer, bells)
        stack.push_async_callback(toolbox.close)
        journals = JournalWriter(pool)
        await self._keep(stack, journals)
        return Means(
            pool=pool,
            toolbox=toolbox,
            journals=journals,
            programs=Programs(),
            secrets=SecretStore(pool, parse_ring(settings.secrets_key, settings.secrets_keys_old)),
            token_key=settings.token_key.encode(),
        )

    async def _start_claiming(
        self,
        stack: contextlib.AsyncExitStack,
        pool: asyncpg.Pool,
        worker: ExecutorWorker,
        redis: Redis,
        teller: Teller,
    ) -> None:
        claimer = Claimer(
            pool,
            worker,
            instance=self._instance,
            lease_seconds=self._settings.lease_seconds,
            batch=self._settings.claim_batch,
        )
        claimer.on_claimed = teller.claimed
        claiming = Running(claimer)
        worker.on_slot_free = claiming.wake
        await self._run_beside(stack, claiming)
        listener = Listener(redis, Bell.DUE_WORK, self._instance)
        await self._run_beside(stack, Running(Listening(listener, claiming.wake)))

    async def _watch_for_cancels(
        self, stack: contextlib.AsyncExitStack, pool: asyncpg.Pool, leases: LeaseKeeper
    ) -> None:
        watching = Running(CancelWatch(pool, leases))
        redis = open_redis(self._settings.redis_url)
        stack.push_async_callback(redis.aclose)
        await self._run_beside(stack, watching)
        receiver = Receiver(redis, Broadcast.CANCELS)
        await self._run_beside(stack, Running(Listening(receiver, watching.wake)))

    async def _worker(
        self,
        stack: contextlib.AsyncExitStack,
        pool: asyncpg.Pool,
        means: Means,
        leases: LeaseKeeper,
        teller: Teller,
    ) -> ExecutorWorker:
        """The worker itself stops its recorder, when nothing runs any more."""
        pauser, limiter = FailurePauser(pool), Limiter(pool, self._instance)
        limiter.on_decided = teller.decided
        await self._keep(stack, pauser)
        await self._keep(stack, limiter)
        recorder = Recorder(pool, leases.forget)
        recorder.on_failure = pauser.look_at
        recorder.on_recorded = teller.recorded
        await recorder.start()
        worker = ExecutorWorker(
            redis_pool=ArqRedis.from_url(
                self._settings.redis_url,
                socket_timeout=CONNECT_TIMEOUT_SECONDS,
                socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ),
            max_jobs=self._settings.max_jobs,
            job_completion_wait_seconds=self._settings.job_completion_wait_seconds,
            cron_jobs=chores(),
            context={POOL: pool, MEANS: means},
            leases=leases,
            recorder=recorder,
            limiter=limiter,
            tracer=self._tracing.get_tracer("pao.executor"),
        )
        recorder.on_work_freed = worker.look_for_work
        return worker

    async def _pool(self, stack: contextlib.AsyncExitStack, size: int) -> asyncpg.Pool:
        pool = await open_pool(self._settings.database_url, application_name=SERVICE, size=size)
        stack.push_async_callback(pool.close)
        return pool

    @staticmethod
    async def _run_beside(stack: contextlib.AsyncExitStack, part: Running) -> None:
        await part.start()
        stack.push_async_callback(part.stop)

    @staticmethod
    async def _keep(stack: contextlib.AsyncExitStack, part: JournalWriter | Limiter | FailurePauser) -> None:
        await part.start()
        stack.push_async_callback(part.stop)

"""Builds the executor from its settings, and starts and stops its parts in order."""

import asyncio
import contextlib

import asyncpg
from arq.connections import ArqRedis
from opentelemetry import trace

from services.executor.chores import POOL, chores
from services.executor.claimer import Claimer
from services.executor.lease import LeaseKeeper
from services.executor.recorder import Recorder
from services.executor.settings import ExecutorSettings
from services.executor.tools.http_request import HttpRequest
from services.executor.tools.registry import Toolbox
from services.executor.worker import TOOLBOX, ExecutorWorker
from shared.database.pool import open_pool
from shared.runtime.heartbeat import Heartbeat
from shared.runtime.listening import Listening
from shared.runtime.loop import Running
from shared.runtime.process import keep_what_was_loaded
from shared.runtime.settings import parse_policy
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
        policy = parse_policy(settings.outbound_allow)
        toolbox = Toolbox([HttpRequest(policy, connections=settings.max_jobs)])
        stack.push_async_callback(toolbox.close)
        leases = LeaseKeeper(
            lease_pool, lease_seconds=settings.lease_seconds, renew_seconds=settings.lease_renew_seconds
        )
        recorder = Recorder(pool, leases.forget)
        await recorder.start()
        await self._run_beside(stack, Running(Heartbeat(pool, SERVICE, self._instance)))
        await self._run_beside(stack, Running(leases))
        worker = self._worker(pool, toolbox, leases, recorder, self._tracing.get_tracer("pao.executor"))
        stack.push_async_callback(worker.close)
        await self._start_claiming(stack, pool, worker)
        return worker

    async def _start_claiming(
        self, stack: contextlib.AsyncExitStack, pool: asyncpg.Pool, worker: ExecutorWorker
    ) -> None:
        claimer = Claimer(
            pool,
            worker,
            instance=self._instance,
            lease_seconds=self._settings.lease_seconds,
            batch=self._settings.claim_batch,
        )
        claiming = Running(claimer)
        worker.on_slot_free = claiming.wake
        redis = open_redis(self._settings.redis_url)
        stack.push_async_callback(redis.aclose)
        await self._run_beside(stack, claiming)
        listener = Listener(redis, Bell.DUE_WORK, self._instance)
        await self._run_beside(stack, Running(Listening(listener, claiming.wake)))

    def _worker(
        self,
        pool: asyncpg.Pool,
        toolbox: Toolbox,
        leases: LeaseKeeper,
        recorder: Recorder,
        tracer: trace.Tracer,
    ) -> ExecutorWorker:
        return ExecutorWorker(
            redis_pool=ArqRedis.from_url(
                self._settings.redis_url,
                socket_timeout=CONNECT_TIMEOUT_SECONDS,
                socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            ),
            max_jobs=self._settings.max_jobs,
            job_completion_wait_seconds=self._settings.job_completion_wait_seconds,
            cron_jobs=chores(),
            context={POOL: pool, TOOLBOX: toolbox},
            leases=leases,
            recorder=recorder,
            tracer=tracer,
        )

    async def _pool(self, stack: contextlib.AsyncExitStack, size: int) -> asyncpg.Pool:
        pool = await open_pool(self._settings.database_url, application_name=SERVICE, size=size)
        stack.push_async_callback(pool.close)
        return pool

    @staticmethod
    async def _run_beside(stack: contextlib.AsyncExitStack, part: Running) -> None:
        await part.start()
        stack.push_async_callback(part.stop)

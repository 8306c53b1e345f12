"""Waits for the outcome of a run on behalf of a client, without a database connection."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from services.gateway.http.act import Act
from services.gateway.http.trail import AnyRequest
from services.gateway.live.service import LiveService
from services.gateway.runs.repository import find_run
from services.gateway.runs.wire import RunStory
from shared.vocabulary.faults import Forbidden, TooManyRequests, Unavailable
from shared.vocabulary.scopes import Scope

WAITING_PER_AGENT = 20
WAITING = 1000


class RunOutcomes:
    def __init__(self, live: LiveService) -> None:
        self._live = live
        self._waiting: Counter[UUID] = Counter()

    @contextlib.contextmanager
    def place(self, act: Act) -> Iterator[None]:
        """For one client that is going to wait. Raises TooManyRequests, or Forbidden for who may not read runs."""
        if not act.caller.holds(Scope.RUNS_READ):
            message = f"The token's agent needs the scope {Scope.RUNS_READ} to wait for the run."
            raise Forbidden(message, error_code="insufficient_scope")
        agent_id = act.caller.agent_id
        if self._waiting[agent_id] >= WAITING_PER_AGENT or self._waiting.total() >= WAITING:
            message = f"Too many clients wait for runs; at most {WAITING_PER_AGENT} may do so for one agent."
            raise TooManyRequests(message, error_code="too_many_waiters", retry_after_seconds=1)
        self._waiting[agent_id] += 1
        try:
            yield
        finally:
            self._waiting[agent_id] -= 1
            self._waiting += Counter()  # forgets who waits no more

    async def wait(self, request: AnyRequest, act: Act, run_id: UUID, timeout_seconds: float) -> RunStory | None:
        """The run when it has its outcome, or as it stands when the time is over or the client is gone."""
        with contextlib.suppress(Unavailable, _ClientGone):
            async with _while_client_waits(request):
                await self._live.wait_for_run(run_id, timeout_seconds)
        return await act.read(lambda connection: find_run(connection, run_id, act.caller.owner_filter))


class _ClientGone(Exception):
    """Nobody waits for the answer."""


@contextlib.asynccontextmanager
async def _while_client_waits(request: AnyRequest) -> AsyncIterator[None]:
    waiting = asyncio.current_task()
    is_gone = False

    async def listen() -> None:
        nonlocal is_gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        is_gone = True
        if waiting is not None:
            waiting.cancel()

    listening = asyncio.create_task(listen())
    try:
        yield
    except asyncio.CancelledError:
        if not is_gone or waiting is None:
            raise
        waiting.uncancel()
        raise _ClientGone from None
    finally:
        listening.cancel()

"""Who waits for a message in this process. Nothing here is true: a wake-up says "look now"."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from services.gateway.http.streaming import Sleeper
from shared.vocabulary.faults import TooManyRequests

WAITERS = 10_000
WAITERS_PER_AGENT = 100


class Waiter(Sleeper):
    """`is_full`: it takes nothing more until something of what it has is settled."""

    is_full = False


class Waiters:
    def __init__(self, *, per_agent: int = WAITERS_PER_AGENT, in_all: int = WAITERS) -> None:
        self._per_agent = per_agent
        self._in_all = in_all
        self._count = 0
        self._is_closed = False
        # In the order in which they came; a dict, because they leave in any order.
        self._by_agent: defaultdict[UUID, dict[Waiter, None]] = defaultdict(dict)

    @property
    def agents(self) -> list[UUID]:
        """Whose inboxes are waited for."""
        return [*self._by_agent]

    def check_room(self, agent_id: UUID) -> None:
        """Raises TooManyRequests."""
        if self._count >= self._in_all or len(self._by_agent.get(agent_id, ())) >= self._per_agent:
            message = f"Too many clients wait for messages; at most {self._per_agent} may do so for one agent."
            raise TooManyRequests(message, error_code="too_many_waiters", retry_after_seconds=1)

    @contextlib.contextmanager
    def enter(self, agent_id: UUID) -> Iterator[Waiter]:
        """Raises TooManyRequests."""
        self.check_room(agent_id)
        waiter = Waiter()
        self._by_agent[agent_id][waiter] = None
        self._count += 1
        if self._is_closed:
            waiter.end()
        try:
            yield waiter
        finally:
            self._leave(agent_id, waiter)

    def wake(self, agent_id: UUID, times: int = 1) -> None:
        """As many of the agent's waiters as there are messages, those first that wait longest."""
        for waiter in self._by_agent.get(agent_id, ()):
            if times <= 0:
                return
            if not waiter.is_full and not waiter.is_woken.is_set():
                waiter.is_woken.set()
                times -= 1

    def make_room(self, agent_id: UUID) -> None:
        """Something was settled: those that are full look whether it was theirs."""
        for waiter in self._by_agent.get(agent_id, ()):
            if waiter.is_full:
                waiter.is_woken.set()

    def close(self) -> None:
        """Nobody waits any longer, now or later."""
        self._is_closed = True
        for waiters in self._by_agent.values():
            for waiter in waiters:
                waiter.end()

    def _leave(self, agent_id: UUID, waiter: Waiter) -> None:
        waiters = self._by_agent[agent_id]
        del waiters[waiter]
        self._count -= 1
        if not waiters:
            del self._by_agent[agent_id]
        elif waiter.is_woken.is_set() and not self._is_closed:
            # What it was woken for is still there, for the next.
            self.wake(agent_id)

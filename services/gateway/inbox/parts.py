"""What wakes the waiting: the bell, which is fast, and a look into the database, which misses nothing."""

import asyncpg
import msgspec

from services.gateway.inbox.waiters import Waiters
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.streams.inbox_bell import InboxListener
from shared.vocabulary.limits import POLL_SECONDS

SQL = load_statements("services.gateway.inbox", "sql/inbox.sql")
LOOK_SECONDS = 0.9


class Woken(msgspec.Struct, frozen=True):
    inboxes: int
    pause_seconds: float = 0.0


class InboxEar(Part):
    """Its pause is the blocking read itself."""

    name = "inbox_ear"

    def __init__(self, listener: InboxListener, waiters: Waiters) -> None:
        self._listener = listener
        self._waiters = waiters

    async def run_once(self) -> Woken:
        rung = await self._listener.heard(POLL_SECONDS)
        for agent_id, times in rung.items():
            self._waiters.wake(agent_id, times)
        return Woken(len(rung))


class InboxLook(Part):
    """One look for all who wait here, however many they are: for what comes back by itself, and for lost bells."""

    name = "inbox_look"

    def __init__(self, pool: asyncpg.Pool, waiters: Waiters) -> None:
        self._pool = pool
        self._waiters = waiters

    async def run_once(self) -> Woken:
        agents = self._waiters.agents
        if not agents:
            return Woken(0, LOOK_SECONDS)
        rows = await self._pool.fetch(SQL["inboxes_with_messages"].sql, agents)
        for row in rows:
            self._waiters.wake(row["agent_id"])
        return Woken(len(rows), LOOK_SECONDS)

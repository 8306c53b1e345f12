"""What one client is told of runs."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import msgspec

from services.gateway.http.streaming import message
from services.gateway.live.position import Position
from services.gateway.live.repository import Seen
from services.gateway.live.run_listener import RunListener, WantedRuns
from services.gateway.live.run_watch import RunWatch
from services.gateway.live.stream import Follower

RUN, END = "run", "end"


class Ended(msgspec.Struct, frozen=True):
    """The last word of the stream of one run."""

    id: UUID
    status: str


class RunFollower(Follower):
    """Of each run its newest state, in order. The runs of a batch are told at the position before, but for the last: a
    client that goes away in between is told the batch again."""

    def __init__(self, watch: RunWatch, wanted: WantedRuns, since: Position | None = None) -> None:
        self.listener = self._listener = RunListener(wanted)
        self._watch = watch
        self._since = since

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        with self._watch.enter(self._listener):
            await self._watch.begin(self._listener, self._since)
            yield

    @property
    def position(self) -> str | None:
        """None of a single run, whose stream always begins with the run as it stands."""
        return None if self._is_of_one else str(self._listener.told)

    @property
    def has_more(self) -> bool:
        return self._listener.has_more

    async def news(self) -> AsyncIterator[bytes]:
        runs, reached = await self._next()
        for number, run in enumerate(runs, 1):
            if number == len(runs):
                self._listener.told = reached
            yield message(RUN, run.data, self.position)
            if self._is_of_one and run.status.is_final:
                yield message(END, msgspec.json.encode(Ended(run.id, run.status)))
                self._listener.end()
        self._listener.told = reached

    async def _next(self) -> tuple[Sequence[Seen], Position]:
        """What is to be told next, and where the client stands after it."""
        listener = self._listener
        runs = listener.take() if listener.behind is None else await self._watch.next_page(listener)
        return runs, listener.reached

    @property
    def _is_of_one(self) -> bool:
        return self._listener.wanted.run_id is not None

"""Opens the streams: who may follow what, and from where on."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from services.gateway.auth.wire import Identity
from services.gateway.database import Database
from services.gateway.events.topics import check_topic_query
from services.gateway.live import event_repository, repository
from services.gateway.live.event_listener import EventListener
from services.gateway.live.event_stream import EventFollower
from services.gateway.live.event_watch import EventWatch
from services.gateway.live.position import HISTORY, Position
from services.gateway.live.resuming import event_in, history_gone, position_in
from services.gateway.live.run_listener import WantedRuns
from services.gateway.live.run_stream import RunFollower
from services.gateway.live.run_watch import RunWatch
from services.gateway.live.stream import LiveStreams
from services.gateway.runs.repository import find_status
from services.gateway.runs.service import no_such_run
from shared.vocabulary.scopes import Scope


class LiveService:
    def __init__(self, database: Database, runs: RunWatch, events: EventWatch, streams: LiveStreams) -> None:
        self._database = database
        self._runs = runs
        self._events = events
        self._streams = streams

    async def follow_runs(
        self, caller: Identity, token: str, wanted: WantedRuns, last_id: str | None
    ) -> AsyncIterator[bytes]:
        """Raises TooManyRequests, BadRequest or Gone."""
        since = None if last_id is None else position_in(last_id)
        self._streams.check_room(caller.agent_id)
        now = await self._database.read(repository.ask_position)
        if since is not None and not since.is_kept(now):
            minutes = HISTORY.seconds // 60
            raise history_gone(f"What happened is told for {minutes} minutes. List the runs, then begin without an id.")
        return self._streams.open(caller, token, Scope.RUNS_READ, RunFollower(self._runs, wanted, since))

    async def follow_run(self, caller: Identity, token: str, run_id: UUID) -> AsyncIterator[bytes]:
        """Raises TooManyRequests or NotFound."""
        self._streams.check_room(caller.agent_id)
        if await self._database.read(lambda connection: find_status(connection, run_id, caller.owner_filter)) is None:
            raise no_such_run()
        wanted = WantedRuns(run_id=run_id)
        return self._streams.open(caller, token, Scope.RUNS_READ, RunFollower(self._runs, wanted))

    async def wait_for_run(self, run_id: UUID, timeout_seconds: float) -> bool:
        """Whether the run has its outcome: at once when it has it, otherwise as soon as it has. Raises Unavailable."""
        return await self._runs.wait_for_run(run_id, timeout_seconds)

    async def follow_events(
        self, caller: Identity, token: str, pattern: str | None, last_id: str | None
    ) -> AsyncIterator[bytes]:
        """Raises TooManyRequests, BadRequest or Gone."""
        if pattern is not None:
            check_topic_query(pattern)
        after = None if last_id is None else event_in(last_id)
        self._streams.check_room(caller.agent_id)
        listener = EventListener(pattern, await self._began_at(after), after)
        return self._streams.open(caller, token, Scope.EVENTS_READ, EventFollower(self._events, listener))

    async def _began_at(self, after: UUID | None) -> datetime:
        if after is None:
            now: Position = await self._database.read(repository.ask_position)
            return now.at
        published_at = await self._database.read(
            lambda connection: event_repository.find_publication(connection, after)
        )
        if published_at is None:
            raise history_gone("This event is not kept any more. Begin without an id; recent events are listed apart.")
        return published_at

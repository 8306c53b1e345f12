"""Follows the runs for all who listen in this process."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from uuid import UUID

from services.gateway.database import Database
from services.gateway.live import repository
from services.gateway.live.audience import Audience
from services.gateway.live.position import Position, is_later, mended
from services.gateway.live.repository import Found, Seen
from services.gateway.live.run_listener import CatchUp, RunListener, WantedRuns
from shared.streams.run_updates import RunChange

RUNS_AT_ONCE = 500
FOUND_AT_ONCE = 10_000
# Of runs told since the last look; beyond them some are told twice.
VERSIONS_KEPT = 50_000


class RunWatch:
    """Reads happen one after the other, so that what is read later is never older."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._audience: Audience[RunListener] = Audience()
        self._reading = asyncio.Lock()
        # At most one page comes between two looks.
        self._turning = asyncio.Lock()
        self._looked_to: Position | None = None
        self._versions: dict[UUID, int] = {}

    @property
    def is_followed(self) -> bool:
        return bool(len(self._audience))

    async def followed(self) -> None:
        """Return as soon as anybody listens."""
        await self._audience.gathered()

    @contextlib.contextmanager
    def enter(self, listener: RunListener) -> Iterator[None]:
        try:
            with self._audience.enter(listener):
                yield
        finally:
            if not self.is_followed:
                self._forget()

    def close(self) -> None:
        self._audience.close()

    async def begin(self, listener: RunListener, since: Position | None = None) -> None:
        """From now on, or from a position on that is still kept, nothing is missed. Raises Unavailable."""
        async with self._reading:
            now = await self._ask()
            if self._looked_to is None:
                self._looked_to = now
            listener.begin(now, since)
            if listener.wanted.run_id is not None:
                listener.hear(await self._read([listener.wanted.run_id]))

    async def next_page(self, listener: RunListener) -> Sequence[Seen]:
        """Of what a listener lacks that is behind. Raises Unavailable."""
        behind = listener.behind
        if behind is None:
            return []
        async with self._turning, self._reading:
            until = behind.until or await self._ask()
            owner = listener.wanted.owner
            owners = None if owner is None else [owner]
            found = await self._find(behind.since, until, owners, after=behind.after, limit=RUNS_AT_ONCE)
            ids = [each.id for each in found]
            runs = await self._read(ids)
            after = ids[-1] if ids else behind.after
            turned = CatchUp(behind.since, until, after)
            listener.turn_page(turned, ids, is_last=len(found) < RUNS_AT_ONCE)
        return [run for run in runs if listener.wanted.covers(run)]

    async def wait_for_run(self, run_id: UUID, timeout_seconds: float) -> bool:
        """Whether the run has its outcome, as soon as it has it. Raises Unavailable."""
        listener = RunListener(WantedRuns(run_id=run_id))
        ends_at = time.monotonic() + timeout_seconds
        with self.enter(listener):
            await self.begin(listener)
            while not listener.is_over:
                if any(run.status.is_final for run in listener.take()):
                    return True
                remaining_seconds = ends_at - time.monotonic()
                if remaining_seconds <= 0:
                    return False
                await listener.woken(remaining_seconds)
        return False

    async def tell(self, changes: Collection[RunChange]) -> int:
        """How many of the runs that somebody told of are shown to whoever follows them. Raises Unavailable."""
        async with self._reading:
            return await self._tell_those(iter(self._concerned(changes)))

    async def look(self) -> int:
        """For what nobody told. Raises Unavailable."""
        async with self._reading:
            now = await self._ask()
            since = self._looked_to or now
            found = await self._find_followed(since, now)
            told = await self._tell_those(each.id for each in found if self._versions.get(each.id) != each.version)
            # What is found from now on was written later; some of it was told already.
            self._versions = {
                run_id: version for run_id, version in self._versions.items() if is_later(version, now.xid)
            }
            self._looked_to = now
            if not self.is_followed:
                self._forget()
            for listener in self._audience:
                listener.reach(now)
        return told

    def _forget(self) -> None:
        """Nobody listens: whoever comes next begins anew."""
        self._looked_to = None
        self._versions.clear()

    def _concerned(self, changes: Collection[RunChange]) -> list[UUID]:
        """The runs that somebody here follows, each once."""
        owners, runs, is_all = self._followed()
        ids = {
            change.run_id: None
            for change in changes
            if is_all or change.agent_id is None or change.agent_id in owners or change.run_id in runs
        }
        return [*ids]

    def _followed(self) -> tuple[set[UUID], set[UUID], bool]:
        """Whose runs, and which; or those of all."""
        wanted = [listener.wanted for listener in self._audience]
        runs = {each.run_id for each in wanted if each.run_id is not None}
        owners = {each.owner for each in wanted if each.run_id is None and each.owner is not None}
        return owners, runs, any(each.run_id is None and each.owner is None for each in wanted)

    async def _find_followed(self, since: Position, now: Position) -> list[Found]:
        owners, runs, is_all = self._followed()
        found: list[Found] = []
        if owners or is_all:
            found += await self._find_all(since, now, None if is_all else owners)
        if runs:
            found += await self._find_among(since, now, runs)
        return found

    async def _tell_those(self, run_ids: Iterator[UUID]) -> int:
        told = 0
        while batch := [run_id for run_id, _ in zip(run_ids, range(RUNS_AT_ONCE), strict=False)]:
            runs = [run for run in await self._read(batch) if self._versions.get(run.id) != run.version]
            if len(self._versions) > VERSIONS_KEPT:
                self._versions.clear()
            self._versions |= {run.id: run.version for run in runs}
            for listener in self._audience:
                listener.hear(runs)
            told += len(runs)
        return told

    async def _find_all(self, since: Position, now: Position, owners: Collection[UUID] | None) -> list[Found]:
        found: list[Found] = []
        after: UUID | None = None
        while True:
            page = await self._find(since, now, owners, after=after, limit=FOUND_AT_ONCE)
            found += page
            if len(page) < FOUND_AT_ONCE:
                return found
            after = page[-1].id

    async def _ask(self) -> Position:
        return await self._database.read(repository.ask_position)

    async def _read(self, run_ids: Collection[UUID]) -> list[Seen]:
        if not run_ids:
            return []
        return await self._database.read(lambda connection: repository.read_runs(connection, run_ids))

    async def _find(
        self, since: Position, now: Position, owners: Collection[UUID] | None, *, after: UUID | None, limit: int
    ) -> list[Found]:
        known = mended(since, now)
        return await self._database.read(
            lambda connection: repository.find_changed(connection, known, owners, after=after, limit=limit)
        )

    async def _find_among(self, since: Position, now: Position, run_ids: Collection[UUID]) -> list[Found]:
        known = mended(since, now)
        return await self._database.read(lambda connection: repository.find_changed_among(connection, known, run_ids))

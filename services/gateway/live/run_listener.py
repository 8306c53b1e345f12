"""One who follows runs: what he wants to see of them, and what has changed since he was told last."""

from collections.abc import Collection
from uuid import UUID

import msgspec

from services.gateway.http.streaming import Sleeper
from services.gateway.live.position import Position
from services.gateway.live.repository import Seen
from shared.vocabulary.states import RunStatus

# Beyond these, what is to be told is read anew when there is room.
RUNS_WAITING = 500


class WantedRuns(msgspec.Struct, frozen=True):
    """What None says nothing about. `owner`: whose runs. `run_id`: this one alone."""

    owner: UUID | None = None
    task_id: UUID | None = None
    status: RunStatus | None = None
    run_id: UUID | None = None

    def covers(self, run: Seen) -> bool:
        return (
            self.run_id in (None, run.id)
            and self.owner in (None, run.agent_id)
            and self.task_id in (None, run.task_id)
            and self.status in (None, run.status)
        )


class CatchUp(msgspec.Struct, frozen=True):
    """What has changed from `since` on is looked up page by page. `until`: where it leads, known from the first page
    on. `after`: the last run of the page before."""

    since: Position
    until: Position | None = None
    after: UUID | None = None


class RunListener(Sleeper):
    """What waits to be told is the newest state of each run, so that it stays small however slow the client is.
    `told`: where the client stands. `reached`: where it stands once it has what waits. `behind`: more has changed since
    `told` than could wait."""

    def __init__(self, wanted: WantedRuns) -> None:
        super().__init__()
        self.wanted = wanted
        self.told = self.reached = Position(0, 0)
        self.behind: CatchUp | None = None
        self._is_too_much = False
        self._waiting: dict[UUID, Seen] = {}

    def begin(self, now: Position, since: Position | None) -> None:
        self.told = self.reached = since or now
        self.behind = CatchUp(since) if since else None

    def hear(self, runs: Collection[Seen]) -> None:
        """Read after whatever waits already."""
        self._waiting.update({run.id: run for run in runs if self.wanted.covers(run)})
        if len(self._waiting) > RUNS_WAITING:
            self._waiting.clear()
            if self.behind is None:
                self.behind, self.reached = CatchUp(self.told), self.told
            else:
                self._is_too_much = True
        if self._waiting or self.behind:
            self.wake()

    def reach(self, position: Position) -> None:
        """All that changed before it waits here, or was told."""
        if self.behind is None:
            self.reached = position

    @property
    def has_more(self) -> bool:
        return self.behind is not None or bool(self._waiting)

    def take(self) -> list[Seen]:
        waiting, self._waiting = self._waiting, {}
        return [*waiting.values()]

    def turn_page(self, behind: CatchUp, runs: Collection[UUID], *, is_last: bool) -> None:
        """These were read anew, after whatever waits."""
        for run_id in runs:
            self._waiting.pop(run_id, None)
        self.behind = behind
        if is_last and behind.until is not None:
            # What did not fit meanwhile is looked up from where this look-up began.
            self.reached = behind.until
            self.behind = CatchUp(behind.until) if self._is_too_much else None
            self._is_too_much = False

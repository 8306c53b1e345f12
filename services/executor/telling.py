"""What is told of runs to whoever follows them: what was begun, what was decided instead, and what came of it."""

from collections.abc import Sequence

from services.executor.admission import Facts, Start, Verdict
from services.executor.limiter import STATUSES
from services.executor.recorder import Finished
from services.executor.work import Work
from shared.runtime.run_updates import RunUpdates
from shared.streams.run_updates import RunChange
from shared.vocabulary.states import RunStatus


class Teller:
    """Each after its transaction. Nothing is made of it while nobody follows."""

    def __init__(self, updates: RunUpdates) -> None:
        self._updates = updates

    def claimed(self, claimed: Sequence[Work]) -> None:
        begun = (work for work in claimed if work.is_admitted)
        self._updates.tell(RunChange(work.id, work.agent_id, RunStatus.RUNNING) for work in begun)

    def decided(self, decided: Sequence[tuple[Facts, Verdict]]) -> None:
        self._updates.tell(
            RunChange(facts.id, facts.agent_id, status)
            for facts, verdict in decided
            if (status := RunStatus.RUNNING if isinstance(verdict, Start) else STATUSES.get(type(verdict))) is not None
        )

    def recorded(self, recorded: Sequence[Finished]) -> None:
        self._updates.tell(
            RunChange(finished.work.id, finished.work.agent_id, finished.outcome.status) for finished in recorded
        )

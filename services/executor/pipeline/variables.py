"""What expressions can speak of, apart from the results of steps."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol
from uuid import UUID

from services.executor.pipeline.program import Program
from services.executor.work import Work
from shared.vocabulary.states import Source

PreviousOutput = Callable[[Work], Awaitable[object]]


class Secrets(Protocol):
    async def values(self, agent_id: UUID, names: Collection[str]) -> Mapping[str, str]:
        """The plain values of an agent's secrets."""


async def secrets_of(work: Work, program: Program, secrets: Secrets) -> Mapping[str, str]:
    return await secrets.values(work.agent_id, program.secret_names) if program.secret_names else {}


async def variables_of(
    work: Work, program: Program, secrets: Mapping[str, str], previous: PreviousOutput
) -> dict[str, Any]:
    """`steps` is empty here: it fills while the run goes on. What follows an outcome is told of the run that it
    follows, and of that run's event. What nothing reads is not made."""
    followed = work.event if work.source is Source.HOOK else None
    return {
        "params": work.payload.get("params", {}),
        "steps": {},
        "event": followed["event"] if followed else work.event,
        "run": (followed["run"] if followed else _run(work)) if "run" in program.names else None,
        "task": _task(work) if "task" in program.names else None,
        "previous": await previous(work) if "previous" in program.names else None,
        "secrets": secrets,
    }


def _run(work: Work) -> dict[str, Any]:
    return {
        "id": str(work.id),
        "task_id": str(work.task_id),
        "scheduled_for": work.scheduled_for.isoformat().replace("+00:00", "Z"),
        "attempt": work.attempt,
        "source": work.source.value,
    }


def _task(work: Work) -> dict[str, Any]:
    return {"id": str(work.task_id), "title": work.title, "tags": work.tags, "created_by": str(work.agent_id)}

"""What can be asked about pipelines and tools."""

from collections.abc import Iterator, Mapping
from functools import partial

from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.pipelines.wire import PipelineDraft, PipelineWarning, Rehearsed, ToolView
from services.gateway.schedules.computing import Turns
from shared.outbound.addresses import AddressPolicy
from shared.pipeline.placing import placed
from shared.pipeline.rehearsal import EVENT, Sample, rehearse, speaks_of
from shared.pipeline.validation import check_pipeline
from shared.tools.base import ToolSpec
from shared.tools.catalogue import CATALOGUE
from shared.vocabulary.decoding import close_match
from shared.vocabulary.faults import NotFound
from shared.vocabulary.scopes import is_granted
from shared.vocabulary.states import ScheduleKind, Source

SAMPLE_ID = "00000000-0000-7000-8000-000000000000"


class PipelineService:
    def __init__(self, clock: DatabaseClock, policy: AddressPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._computing = Turns()
        self._tools: Mapping[str, ToolView] = {name: _shown(spec) for name, spec in CATALOGUE.items()}

    async def rehearse(self, caller: Identity, draft: PipelineDraft) -> Rehearsed:
        """Runs nothing, connects nowhere, looks nothing up."""
        return await self._computing.run(caller.agent_id, partial(self._rehearse, caller, draft))

    def _rehearse(self, caller: Identity, draft: PipelineDraft) -> Rehearsed:
        check_pipeline(draft.payload, self._policy)
        steps = rehearse(draft.payload, self._sample(caller, draft), self._policy)
        return Rehearsed(steps, [*_warnings(caller, draft)])

    def tools(self) -> list[ToolView]:
        return [*self._tools.values()]

    def tool(self, name: str) -> ToolView:
        found = self._tools.get(name)
        if found is None:
            near = close_match(name, self._tools)
            raise NotFound("There is no such tool." + (f" Did you mean {near}?" if near else ""))
        return found

    def _sample(self, caller: Identity, draft: PipelineDraft) -> Sample:
        """A task that is none of events has no event, and one that may be has one that nobody knows yet."""
        is_event = draft.event is not None or draft.schedule_kind is ScheduleKind.EVENT
        run = {
            "id": SAMPLE_ID,
            "scheduled_for": self._clock.now().isoformat().replace("+00:00", "Z"),
            "attempt": 1,
            "source": Source.EVENT.value if is_event else Source.SCHEDULE.value,
            "task_id": SAMPLE_ID,
        }
        task = {"id": SAMPLE_ID, "title": "A task", "tags": [], "created_by": str(caller.agent_id)}
        is_known = draft.event is not None or draft.schedule_kind not in (None, ScheduleKind.EVENT)
        return Sample(run=run, task=task, event=draft.event, is_event_known=is_known)


def _warnings(caller: Identity, draft: PipelineDraft) -> Iterator[PipelineWarning]:
    steps, _ = placed(draft.payload)
    for step in steps:
        spec = CATALOGUE[str(step.text("uses"))]
        if spec.scope is not None and not is_granted(spec.scope, caller.scopes):
            message = f"Your agent does not hold {spec.scope}, which the task's owner needs when this step runs."
            yield PipelineWarning(f"{step.field}.uses", message)
        if draft.schedule_kind not in (None, ScheduleKind.EVENT) and speaks_of(step, EVENT):
            message = "event is null here: a task with this schedule_kind waits for none."
            yield PipelineWarning(step.field, message)


def _shown(spec: ToolSpec) -> ToolView:
    return ToolView(
        name=spec.name,
        summary=spec.summary,
        description=spec.description,
        input_schema=dict(spec.input_schema),
        output_schema=dict(spec.output),
        example=dict(spec.example),
        scope=spec.scope,
        can_wait=spec.can_wait,
        is_pure=spec.is_pure,
    )

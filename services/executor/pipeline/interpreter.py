"""Goes through a pipeline: group after group, the steps of a group at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from services.executor.journal import Journal, LeaseGone, StepRecord
from services.executor.outcome import Failed, Parked, Result, Succeeded, is_last_attempt
from services.executor.pipeline.program import Program, StepProgram
from services.executor.pipeline.step_call import Clock, StepCaller, capped
from services.executor.work import Work
from shared.expressions import ExpressionFault, is_true
from shared.vocabulary.limits import FOREACH_ITEMS
from shared.vocabulary.pipeline import Step
from shared.vocabulary.states import ErrorClass, StepStatus

# How a step has ended. None: its record in the journal is final.
End: TypeAlias = Failed | Parked | None


class Interpreter:
    """One attempt at one run. Expressions see results as they are recorded, so that they are the same after a crash."""

    def __init__(
        self,
        program: Program,
        work: Work,
        journal: Journal,
        *,
        caller: StepCaller,
        variables: dict[str, Any],
        clock: Clock,
    ) -> None:
        self._program = program
        self._work = work
        self._journal = journal
        self._caller = caller
        self._variables = variables
        self._clock = clock

    async def run(self) -> Result:
        """Raises LeaseGone."""
        for group in self._program.groups:
            if len(group) == 1:
                end = await self._run_step(group[0], is_alone=True)
            else:
                ends = await together([self._starter(step) for step in group], len(group))
                end = weightiest(ends, self._work)
            if end is not None:
                return end
        return Succeeded(self._output())

    def _output(self) -> object:
        """That of the last group: of one step its own, of several by their ids."""
        last = self._program.groups[-1]
        steps = self._variables["steps"]
        if len(last) == 1:
            return steps[last[0].step.id]["output"]
        return capped({each.step.id: steps[each.step.id]["output"] for each in last})

    def _starter(self, program: StepProgram) -> Callable[[], Awaitable[End]]:
        return lambda: self._run_step(program, is_alone=False)

    async def _run_step(self, program: StepProgram, *, is_alone: bool) -> End:
        step = program.step
        known = self._journal.find(step.id)
        if known is not None and _is_settled(known):
            self._keep(step, known.status, known.output, known.error)
            return None
        try:
            if program.condition is not None and not is_true(program.condition, self._variables):
                self._skip(step)
                return None
            if program.items is None:
                end = await self._caller.act(program, step.id, self._variables, is_alone=is_alone)
            else:
                return await self._for_each(program)
        except ExpressionFault as fault:
            end = template_fault(step, fault)
        return self._ended(step, end)

    def _ended(self, step: Step, end: End) -> End:
        if end is None:
            record = self._journal.find(step.id)
            self._keep(step, StepStatus.SUCCEEDED, record.output if record else None, None)
        elif isinstance(end, Failed) and self._is_forgiven(step, end):
            record = self._caller.fail(step.id, end, is_final=True)
            self._keep(step, StepStatus.FAILED, record.output, record.error)
            return None
        return end

    async def _for_each(self, program: StepProgram) -> End:
        """Each item is a step of its own in the journal; the step's output is the list of theirs."""
        step = program.step
        items = self._items(program)
        ends = await together(
            [self._item_starter(program, index, item) for index, item in enumerate(items)], step.concurrency
        )
        end = weightiest(ends, self._work)
        if end is None:
            records = [self._journal.find(item_id(step, index)) for index in range(len(items))]
            outputs = capped([record.output if record else None for record in records])
            errors = [record.error if record else None for record in records]
            self._keep(step, StepStatus.SUCCEEDED, outputs, errors if any(errors) else None)
        return end

    def _items(self, program: StepProgram) -> list[Any]:
        """Raises ExpressionFault."""
        if program.items is None:
            return []
        items = self._caller.computed(program.items, self._variables)
        if not isinstance(items, list):
            raise ExpressionFault("foreach needs a list.", path="foreach")
        if len(items) > FOREACH_ITEMS:
            raise ExpressionFault(f"foreach takes at most {FOREACH_ITEMS} items, not {len(items)}.", path="foreach")
        return items

    def _item_starter(self, program: StepProgram, index: int, item: object) -> Callable[[], Awaitable[End]]:
        variables = {**self._variables, "item": item, "index": index}
        return lambda: self._run_item(program, index, variables)

    async def _run_item(self, program: StepProgram, index: int, variables: dict[str, Any]) -> End:
        step, step_id = program.step, item_id(program.step, index)
        known = self._journal.find(step_id)
        if known is not None and _is_settled(known):
            return None
        try:
            end = await self._caller.act(program, step_id, variables, is_alone=False)
        except ExpressionFault as fault:
            end = template_fault(step, fault)
        if isinstance(end, Failed) and self._is_forgiven(step, end):
            self._caller.fail(step_id, end, is_final=True)
            return None
        return end

    def _is_forgiven(self, step: Step, failed: Failed) -> bool:
        return step.on_error == "continue" and is_last_attempt(failed, self._work)

    def _skip(self, step: Step) -> None:
        now = self._clock()
        record = StepRecord(step_id=step.id, status=StepStatus.SKIPPED, attempt=1, started_at=now, finished_at=now)
        self._journal.note(record)
        self._keep(step, StepStatus.SKIPPED, None, None)

    def _keep(self, step: Step, status: StepStatus, output: object, error: object) -> None:
        steps = self._variables["steps"]
        steps[step.id] = {"status": status.value, "output": output, "error": error}
        if step.save_as is not None:
            steps[step.save_as] = output


def item_id(step: Step, index: int) -> str:
    return f"{step.id}[{index}]"


def template_fault(step: Step, fault: ExpressionFault) -> Failed:
    where = f"{fault.path}: " if fault.path else ""
    return Failed(ErrorClass.TEMPLATE, f"{where}{fault.message}", is_retryable=False, step_id=step.id)


def weightiest(ends: Sequence[End], work: Work) -> End:
    """What a group of steps comes to: a failure that is final, else one that is not, else the shortest wait."""
    failures = [end for end in ends if isinstance(end, Failed)]
    final = next((failed for failed in failures if is_last_attempt(failed, work)), None)
    if final is not None or failures:
        return final or failures[0]
    waits = [end for end in ends if isinstance(end, Parked)]
    return min(waits, key=lambda parked: parked.seconds, default=None)


async def together(starters: Sequence[Callable[[], Awaitable[End]]], limit: int) -> list[End]:
    """All of them, `limit` at a time; one that fails does not stop the others. Raises LeaseGone."""
    slots = asyncio.Semaphore(limit)

    async def one(start: Callable[[], Awaitable[End]]) -> End:
        async with slots:
            return await start()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(start)) for start in starters]
    except* LeaseGone as gone:
        raise LeaseGone from gone
    return [task.result() for task in tasks]


def _is_settled(record: StepRecord) -> bool:
    """A failure counts only when the pipeline went on without the step."""
    if record.status is StepStatus.FAILED:
        return bool(record.error and record.error.get("final"))
    return record.status.is_final

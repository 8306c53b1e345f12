"""Reads and judges many tasks at once. What several have in common is judged once."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from services.gateway.tasks.wire import RawBatch, TaskBatch
from shared.outbound.addresses import AddressPolicy
from shared.tasks.creating import Accepted, accept_judged, cleaned, judge_task
from shared.tasks.fields import check_window
from shared.tasks.wanted import TaskCreate
from shared.timing.timetable import Timetable
from shared.vocabulary.decoding import decode, invalid
from shared.vocabulary.faults import FieldFault, Invalid

FAULTS_TOLD = 50
# What decides whether a task can be executed, and when it runs first.
EXECUTION = ("payload", "on_success", "on_failure", "concurrency_key", "concurrency_limit")
SCHEDULE = tuple(name for name in (*Timetable.__struct_fields__, "event_filter") if name != "anchor_at")
# A thread is taken for so long at most.
JUDGE_SECONDS = 5.0


_encoder = msgspec.json.Encoder()


def read_batch(tree: object) -> TaskBatch:
    """Raises Invalid with the faults of all tasks, FAULTS_TOLD at most."""
    listed = decode(tree, RawBatch).tasks
    tasks: list[TaskCreate] = []
    wrong: list[FieldFault] = []
    for index, each in enumerate(listed):
        try:
            tasks.append(decode(each, TaskCreate, f"tasks[{index}]"))
        except Invalid as refusal:
            wrong += refusal.validation_errors
        if len(wrong) >= FAULTS_TOLD:
            break
    if wrong:
        raise invalid(wrong[:FAULTS_TOLD])
    return TaskBatch(tasks)


def accept_all(
    wanted: Sequence[TaskCreate], now: datetime, policy: AddressPolicy, shortest_interval_seconds: int
) -> list[Accepted]:
    """Raises Invalid with the faults of all tasks, FAULTS_TOLD at most."""
    judge = _Judge(now, policy, shortest_interval_seconds)
    wrong = [*_keys_given_twice(wanted)]
    accepted = []
    for index, task in enumerate(wanted):
        try:
            judge.check_time(index)
            accepted.append(judge.accepted(task))
        except Invalid as refusal:
            wrong += [inside(each, index) for each in refusal.validation_errors]
        if len(wrong) >= FAULTS_TOLD:
            break
    if wrong:
        raise invalid(wrong[:FAULTS_TOLD])
    return accepted


def inside(fault: FieldFault, index: int) -> FieldFault:
    return msgspec.structs.replace(fault, field=f"tasks[{index}].{fault.field}".removesuffix("."))


class _Judge:
    def __init__(self, now: datetime, policy: AddressPolicy, shortest_interval_seconds: int) -> None:
        self._now = now
        self._policy = policy
        self._shortest = shortest_interval_seconds
        self._ends_at = time.monotonic() + JUDGE_SECONDS
        self._pipelines: set[bytes] = set()
        self._schedules: dict[bytes, Accepted] = {}

    def check_time(self, index: int) -> None:
        if time.monotonic() > self._ends_at:
            message = f"The {index} tasks before this one took {JUDGE_SECONDS:g} s to check; send fewer at once."
            raise invalid([FieldFault("", message, "out_of_range")])

    def accepted(self, wanted: TaskCreate) -> Accepted:
        task = self._judged(wanted)
        schedule = _encoder.encode([getattr(task, name) for name in SCHEDULE])
        known = self._schedules.get(schedule)
        if known is None:
            known = self._schedules[schedule] = accept_judged(task, self._now, self._shortest)
        return msgspec.structs.replace(known, task=task)

    def _judged(self, wanted: TaskCreate) -> TaskCreate:
        executed = _encoder.encode([getattr(wanted, name) for name in EXECUTION])
        if executed in self._pipelines:
            check_window(wanted.dedupe_key, wanted.dedupe_window_seconds)
            return cleaned(wanted)
        task = judge_task(wanted, self._policy)
        self._pipelines.add(executed)
        return task


def _keys_given_twice(wanted: Sequence[TaskCreate]) -> Iterator[FieldFault]:
    known: set[tuple[object, str]] = set()
    for index, task in enumerate(wanted):
        if task.dedupe_key is None:
            continue
        key = (task.created_by, task.dedupe_key)
        if key in known:
            message = "Another task of this request has the same dedupe_key."
            yield FieldFault(f"tasks[{index}].dedupe_key", message, "invalid_choice")
        known.add(key)

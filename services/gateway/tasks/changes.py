"""PURE: what a request to change a task changes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.gateway.tasks.wire import TaskUpdate
from shared.tasks.fields import clean_title, distinct, in_utc
from shared.tasks.wanted import TaskCreate
from shared.timing.timetable import Timetable

# A change of one of these makes the schedule a new one: its occurrences get other times, or other identities.
SCHEDULE = frozenset({*Timetable.__struct_fields__, "jitter_seconds", "max_runs"})
EXPRESSION = frozenset({"schedule_kind", "schedule_expr"})
FREQUENCY = EXPRESSION | {"timezone"}
# May hold headers and secrets.
CONFIDENTIAL = frozenset({"payload", "on_success", "on_failure"})


class Changes(msgspec.Struct, frozen=True):
    """`values` of the columns that get another value, and what they were `before`."""

    values: Mapping[str, Any]
    before: Mapping[str, Any]

    @property
    def is_new_schedule(self) -> bool:
        return not SCHEDULE.isdisjoint(self.values)

    @property
    def is_new_expression(self) -> bool:
        """INTERVAL and COUNT of a recurrence begin anew."""
        return not EXPRESSION.isdisjoint(self.values)

    @property
    def is_new_frequency(self) -> bool:
        return not FREQUENCY.isdisjoint(self.values)

    def for_audit(self) -> dict[str, Any]:
        """Of what is confidential only that it changed: a trail that forgets nothing must not keep it."""
        told = {}
        for name, after in self.values.items():
            told[name] = "changed" if name in CONFIDENTIAL else {"before": self.before[name], "after": after}
        return {"changed": told}


def as_update(wanted: TaskCreate) -> TaskUpdate:
    """Of a declaration: what it leaves out is its default."""
    return TaskUpdate(**{name: getattr(wanted, name) for name in TaskUpdate.__struct_fields__})


def changes_of(task: Mapping[str, Any], wanted: TaskUpdate) -> Changes:
    """`task`: its columns as they are, their JSON decoded."""
    given = {name: _stored(name, value) for name, value in msgspec.structs.asdict(wanted).items()}
    values = {name: value for name, value in given.items() if value is not msgspec.UNSET and value != task[name]}
    return Changes(values, {name: task[name] for name in values})


def _stored(name: str, value: object) -> object:
    """The value in the form in which it is stored."""
    match value:
        case str() if name == "title":
            return clean_title(value)
        case list() if name == "tags":
            return distinct(value)
        case list():
            return msgspec.to_builtins(value)
        case msgspec.Struct():
            return msgspec.to_builtins(value)
        case datetime():
            return in_utc(name, value)
        case _:
            return value

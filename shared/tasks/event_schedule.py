"""PURE: schedules that wait for events: a topic or pattern, and perhaps a filter on the payload."""

import re

from shared.events.cost import DEPTH_MAX, comprehension_depth
from shared.expressions.library import cel
from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.vocabulary.states import ScheduleKind
from shared.vocabulary.topics import problem_of_pattern

CEL_PROBLEM = re.compile(r"ERROR: <input>:(?P<line>\d+):(?P<column>\d+): (?P<problem>.{1,120})")


def check_event_schedule(pattern: str) -> None:
    """Raises ScheduleFault for what is neither a topic nor a pattern."""
    problem = problem_of_pattern(pattern)
    if problem is not None:
        raise ScheduleFault(problem.message, position=problem.position, suggestion=problem.suggestion)


def check_event_filter(kind: ScheduleKind, text: str | None) -> None:
    """Raises ScheduleFault for a filter that is no CEL expression, or one of a task that waits for no event."""
    if text is None:
        return
    if kind is not ScheduleKind.EVENT:
        message = "Only a task with schedule_kind event has an event_filter; leave it out, or set it to null."
        raise ScheduleFault(message, field="event_filter")
    _compile_filter(text)
    if comprehension_depth(text) > DEPTH_MAX:
        message = f"A filter has at most {DEPTH_MAX} comprehensions (exists, all, map, …) within one another."
        raise ScheduleFault(message, code=TOO_COMPLEX, field="event_filter")


def _compile_filter(text: str) -> None:
    try:
        cel.compile(text)
    except ValueError as error:
        told = CEL_PROBLEM.search(str(error))
        problem = f": {told['problem']}" if told else ""
        message = f'A filter is a CEL expression over the event, such as payload.priority == "high"{problem}.'
        raise ScheduleFault(message, field="event_filter", position=_position(text, told)) from error


def _position(text: str, told: re.Match[str] | None) -> int | None:
    """CEL counts lines and columns from one."""
    if told is None:
        return None
    before = text.splitlines(keepends=True)[: int(told["line"]) - 1]
    return min(len(text), sum(map(len, before)) + int(told["column"]) - 1)

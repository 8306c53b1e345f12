"""PURE: which tasks an event concerns."""

import functools
import itertools
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.events.cost import steps_at_most
from shared.expressions.library import cel
from shared.timing.exclusions import Exclusion, compile_exclusions
from shared.timing.zones import load_zone
from shared.vocabulary.topics import ONE, REST, matches

# 2^8 patterns, and as many again with an open end, are looked up; a longer topic is compared with every pattern.
SEGMENTS_ENUMERATED = 8
FILTERS_COMPILED = 4096
# What the filters of one agent may cost over one event, a tenth of a second: nobody holds up the others.
STEPS_PER_AGENT = 300_000
# And what they may take, as measured, over all events that are published together.
SECONDS_PER_AGENT = 0.5


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """An active task that waits for events: the columns that decide, and those that its work takes over."""

    id: UUID
    agent_id: UUID
    schedule_rev: int
    priority: int
    concurrency_key: str | None
    schedule_expr: str
    event_filter: str | None = None
    timezone: str = "UTC"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    exclusions: Sequence[Exclusion] = ()
    max_runs: int | None = None


class Heard(msgspec.Struct, frozen=True):
    """`listeners` in the order given. `problems`: tasks whose filter gave no answer, and why; they do not listen."""

    listeners: Sequence[Listener]
    problems: Mapping[UUID, str]


class FilterFault(Exception):
    """A filter that gives no answer for this event."""


def candidate_patterns(topic: str) -> list[str] | None:
    """Every topic and pattern that covers a well-formed topic; None when there are too many to write down."""
    segments = topic.split(".")
    if len(segments) > SEGMENTS_ENUMERATED:
        return None
    whole = itertools.product(*((segment, ONE) for segment in segments))
    # `**` stands for one segment or more.
    open_ended = (
        (*start, REST)
        for length in range(len(segments))
        for start in itertools.product(*((segment, ONE) for segment in segments[:length]))
    )
    return [".".join(pattern) for pattern in (*whole, *open_ended)]


def listening(
    event: Mapping[str, Any], at: datetime, tasks: Iterable[Listener], spent: dict[UUID, float] | None = None
) -> Heard:
    """`event` as tasks see it. A filter that fails, as on a name that this payload does not have, is no match. `spent`:
    the seconds that each agent's filters took over the events before, to which those of this one are added."""
    spent = {} if spent is None else spent
    context = cel.Context(variables={"payload": event["payload"], "topic": event["topic"], "event": event})
    listeners: list[Listener] = []
    problems: dict[UUID, str] = {}
    steps: Counter[UUID] = Counter()
    for task in tasks:
        if not matches(task.schedule_expr, event["topic"]) or not _is_open(task, at):
            continue
        if task.event_filter is None:
            listeners.append(task)
            continue
        began = time.perf_counter()
        steps[task.agent_id] += steps_at_most(task.event_filter, event["payload"])
        try:
            _check_allowance(steps[task.agent_id], spent.get(task.agent_id, 0.0))
            if _is_wanted(task.event_filter, context):
                listeners.append(task)
        except FilterFault as fault:
            problems[task.id] = str(fault)
        spent[task.agent_id] = spent.get(task.agent_id, 0.0) + time.perf_counter() - began
    return Heard(listeners, problems)


def patterns_by_topic(topics: Iterable[str], patterns: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Of well-formed patterns, each once: those that cover each topic."""
    known = {*patterns}
    found: dict[str, Sequence[str]] = {}
    for topic in topics:
        candidates = candidate_patterns(topic)
        if candidates is None:
            found[topic] = [pattern for pattern in known if matches(pattern, topic)]
        else:
            found[topic] = [pattern for pattern in candidates if pattern in known]
    return found


def _is_open(task: Listener, at: datetime) -> bool:
    """Both bounds are included, as for the other schedules."""
    if task.starts_at is not None and at < task.starts_at:
        return False
    if task.ends_at is not None and at > task.ends_at:
        return False
    if not task.exclusions:
        return True
    return compile_exclusions(task.exclusions, load_zone(task.timezone)).end_of(at) is None


def _check_allowance(steps: int, seconds: float) -> None:
    if steps > STEPS_PER_AGENT:
        raise FilterFault("the filters of this agent would take too long over this payload")
    if seconds > SECONDS_PER_AGENT:
        raise FilterFault("the filters of this agent took too long over the events before, published with this one")


def _is_wanted(text: str, context: cel.Context) -> bool:
    try:
        answer = _compiled(text).execute(context)
    # What the library raises at run time is whatever fits: KeyError, IndexError, TypeError, ZeroDivisionError, …
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FilterFault(f"{type(error).__name__}: {error}"[:300]) from error
    if not isinstance(answer, bool):
        raise FilterFault(f"the filter gives no truth value but {type(answer).__name__}")
    return answer


@functools.lru_cache(FILTERS_COMPILED)
def _compiled(text: str) -> cel.Program:
    return cel.compile(text)

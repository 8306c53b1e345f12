"""Which tasks an event concerns."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from shared.events.cost import comprehension_depth
from shared.events.listening import SECONDS_PER_AGENT, Listener, candidate_patterns, listening, patterns_by_topic
from shared.tasks.event_schedule import check_event_filter
from shared.timing.exclusions import Range
from shared.timing.fault import ScheduleFault
from shared.vocabulary.states import ScheduleKind
from shared.vocabulary.topics import matches, problem_of_pattern

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OWNER = uuid4()


def listener(pattern: str = "order.placed", event_filter: str | None = None, **columns: object) -> Listener:
    usual = Listener(
        id=uuid4(),
        agent_id=OWNER,
        schedule_rev=1,
        priority=5,
        concurrency_key=None,
        schedule_expr=pattern,
        event_filter=event_filter,
    )
    return msgspec.structs.replace(usual, **columns)


def event(**payload: object) -> Mapping[str, object]:
    return {"id": "e", "topic": "order.placed", "payload": payload, "depth": 0}


def is_heard(task: Listener, **payload: object) -> bool:
    return list(listening(event(**payload), NOON, [task]).listeners) == [task]


@pytest.mark.parametrize("topic", ["a", "a.b", "email.received", "a.b.c", "a.b.c.d.e.f.g.h"])
def test_the_candidates_of_a_topic_are_the_patterns_that_cover_it(topic: str) -> None:
    candidates = candidate_patterns(topic)
    assert candidates is not None
    assert len(candidates) == len(set(candidates)) == 2 ** (len(topic.split(".")) + 1) - 1
    assert all(problem_of_pattern(pattern) is None and matches(pattern, topic) for pattern in candidates)


def test_two_segments_have_these_candidates() -> None:
    expected = {"email.received", "email.*", "*.received", "*.*", "**", "email.**", "*.**"}
    assert set(candidate_patterns("email.received") or ()) == expected


def test_a_topic_of_many_segments_has_too_many_candidates() -> None:
    assert candidate_patterns("a.b.c.d.e.f.g.h.i") is None


def test_tasks_listen_to_their_topic_and_their_pattern_only() -> None:
    heard, deaf = (
        [listener(), listener("order.*"), listener("**")],
        [listener("order.paid"), listener("order.placed.**")],
    )
    assert listening(event(), NOON, [*heard, *deaf]).listeners == heard


@pytest.mark.parametrize(
    ("event_filter", "is_match"),
    [
        ("payload.total > 100", True),
        ("payload.total > 1000", False),
        ('topic == "order.placed" && event.depth == 0', True),
        ("payload.items.exists(i, i.sku == 'b')", True),
        ("true", True),
    ],
)
def test_a_filter_decides(event_filter: str, is_match: bool) -> None:
    items = [{"sku": "a"}, {"sku": "b"}]
    assert is_heard(listener(event_filter=event_filter), total=250, items=items) is is_match


@pytest.mark.parametrize(
    "event_filter",
    [
        "payload.unknown == 1",
        "unknown",
        "payload.total",
        "1 / 0 == 1",
        "payload.items[9] == 1",
        "payload.total > 'a'",
        "'a'.matches('(')",
        "payload.items.all(i, payload.items.all(j, payload.items.all(k, i == j && j == k)))",
    ],
)
def test_a_filter_that_gives_no_answer_is_no_match_and_is_told(event_filter: str) -> None:
    bad, good = listener(event_filter=event_filter), listener()
    heard = listening(event(total=1, items=[1]), NOON, [bad, good])
    assert (heard.listeners, list(heard.problems)) == ([good], [bad.id])


def test_costly_filters_of_one_agent_do_not_stop_those_of_another() -> None:
    costly = [listener(event_filter="payload.items.exists(i, i == 9)") for _ in range(1000)]
    other = listener(event_filter="payload.items.exists(i, i == 9)", agent_id=uuid4())
    heard = listening(event(items=list(range(1000))), NOON, [*costly, other])
    assert 1 < len(heard.listeners) < len(costly)
    assert heard.listeners[-1] == other


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("payload.total > size(payload.items) + (1 + 2)", 0),
        ("payload.a.all(x, x > 1) && payload.b.exists(x, x > 1)", 1),
        ("payload.a.all(x, payload.b . exists (y, (x) == y))", 2),
        ("payload.a == '.all(.all(.all('", 0),
        ("payload.a.map(x, x + 1).filter(y, y > 1).size() > 0", 1),
    ],
)
def test_comprehensions_within_comprehensions_are_counted(text: str, depth: int) -> None:
    assert comprehension_depth(text) == depth


def test_a_task_listens_from_its_start_to_its_end() -> None:
    second = timedelta(seconds=1)
    assert is_heard(listener(starts_at=NOON, ends_at=NOON))
    assert not is_heard(listener(starts_at=NOON + second))
    assert not is_heard(listener(ends_at=NOON - second))


def test_a_task_does_not_listen_during_a_blackout() -> None:
    assert not is_heard(listener(exclusions=["2026-01-01"]))
    assert not is_heard(listener(exclusions=[Range("2025-12-31", "2026-01-02")]))
    assert is_heard(listener(exclusions=["2026-01-02"]))
    # 12:00 UTC is the next day there.
    assert is_heard(listener(exclusions=["2026-01-01"], timezone="Pacific/Auckland"))


def test_a_filter_that_can_never_be_computed_in_time_is_refused_when_it_is_written() -> None:
    nested = "payload.a.all(x, payload.a.all(y, payload.a.all(z, x == y && y == z)))"
    with pytest.raises(ScheduleFault) as refusal:
        check_event_filter(ScheduleKind.EVENT, nested)
    assert (refusal.value.error_code, refusal.value.wrong.field) == ("schedule_too_complex", "event_filter")
    check_event_filter(ScheduleKind.EVENT, "payload.a.all(x, payload.a.all(y, x == y))")


def test_filters_that_took_too_long_over_the_events_before_match_nothing_more() -> None:
    slow, other = listener(event_filter="true"), listener(event_filter="true", agent_id=uuid4())
    spent = {OWNER: SECONDS_PER_AGENT + 0.1}
    heard = listening(event(), NOON, [slow, other, listener()], spent)
    assert [task.event_filter for task in heard.listeners] == ["true", None]
    assert list(heard.problems) == [slow.id]
    assert 0 < spent[other.agent_id] < SECONDS_PER_AGENT


@pytest.mark.parametrize("topic", ["a.b", "a.b.c.d.e.f.g.h.i"])
def test_the_patterns_of_a_topic_are_those_that_cover_it(topic: str) -> None:
    patterns = ["a.b", "a.*", "a.**", "b.**", "**", "*.b.c.d.e.f.g.h.i", "a"]
    found = patterns_by_topic([topic, "z"], patterns)
    assert sorted(found[topic]) == sorted(pattern for pattern in patterns if matches(pattern, topic))
    assert list(found["z"]) == ["**"]

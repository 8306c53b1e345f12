"""What becomes of each nominal time, seen from one instant."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from services.scheduler.planner import TIMES_PER_ROUND, Cursor, Occurrence, Plan, plan
from shared.timing.timetable import compile_timetable
from shared.vocabulary.states import MisfirePolicy, ScheduleKind, SkipReason

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HORIZON = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)

EVERY_MINUTE = Cursor(
    task_id=UUID(int=1),
    schedule_rev=1,
    next_at=NOON,
    was_bad=False,
    runs_planned=0,
    agent_id=UUID(int=2),
    schedule_kind=ScheduleKind.CRON,
    schedule_expr="* * * * *",
    timezone="UTC",
    anchor_at=NOON,
    priority=5,
    concurrency_key=None,
    misfire_policy=MisfirePolicy.LATEST,
    misfire_window_seconds=3600,
    jitter_seconds=0,
    ends_at=None,
    starts_at=None,
    exclusions="[]",
    max_runs=None,
)


def planned(cursor: Cursor, now: datetime, horizon: timedelta = HORIZON) -> Plan:
    schedule = compile_timetable(cursor.timetable)
    return plan(schedule, cursor, now, horizon)


def changed(**fields: object) -> Cursor:
    return msgspec.structs.replace(EVERY_MINUTE, **fields)


def test_everything_up_to_the_horizon_is_planned_and_the_cursor_moves_past_it() -> None:
    result = planned(EVERY_MINUTE, NOON, timedelta(minutes=2))

    assert [occurrence.run_at for occurrence in result.due] == [NOON, NOON + MINUTE, NOON + 2 * MINUTE]
    assert result.next_at == NOON + 3 * MINUTE


def test_the_same_occurrence_has_the_same_identity_whenever_it_is_planned() -> None:
    early = planned(EVERY_MINUTE, NOON - timedelta(seconds=30))
    late = planned(EVERY_MINUTE, NOON + timedelta(seconds=5))

    assert early.due[0].id == late.due[0].id


def test_another_revision_of_the_schedule_gives_another_identity() -> None:
    assert planned(changed(schedule_rev=2), NOON).due[0].id != planned(EVERY_MINUTE, NOON).due[0].id


def test_a_little_late_is_on_time() -> None:
    result = planned(EVERY_MINUTE, NOON + timedelta(seconds=10))

    assert [occurrence.scheduled_for for occurrence in result.due] == [NOON]
    assert result.skipped == []


@pytest.mark.parametrize(
    ("policy", "runs", "reason"),
    [
        (MisfirePolicy.LATEST, 1, SkipReason.MISFIRE_COALESCED),
        (MisfirePolicy.ALL, 20, None),
        (MisfirePolicy.SKIP, 0, SkipReason.MISFIRE_SKIPPED),
    ],
)
def test_after_an_outage_the_policy_says_what_runs(policy: MisfirePolicy, runs: int, reason: SkipReason | None) -> None:
    result = planned(changed(misfire_policy=policy), NOON + 20 * MINUTE - timedelta(seconds=31), timedelta(0))

    assert len(result.due) == runs
    assert {occurrence.reason for occurrence in result.skipped} == ({reason} if reason else set())
    assert len(result.occurrences) == 20
    if runs == 1:
        assert result.due[0].scheduled_for == NOON + 19 * MINUTE


def test_at_most_a_hundred_missed_occurrences_are_run_and_they_are_the_newest() -> None:
    now = NOON + 300 * MINUTE + timedelta(seconds=20)
    cursor = changed(misfire_policy=MisfirePolicy.ALL, misfire_window_seconds=86_400)

    result = planned(cursor, now)

    assert len(result.due) == 100
    assert result.due[0].scheduled_for == NOON + 201 * MINUTE
    assert {occurrence.reason for occurrence in result.skipped} == {SkipReason.MISFIRE_OVER_CAP}


@pytest.mark.parametrize("policy", list(MisfirePolicy))
def test_what_is_older_than_the_window_never_runs(policy: MisfirePolicy) -> None:
    result = planned(changed(misfire_policy=policy, schedule_expr="0 0 1 1 *"), NOON + timedelta(days=700))

    too_old = [o for o in result.skipped if o.reason is SkipReason.MISFIRE_TOO_OLD]
    assert [occurrence.scheduled_for.year for occurrence in too_old] == [2027, 2028]


def test_a_long_outage_is_planned_in_pieces_that_add_up_to_the_whole() -> None:
    now = NOON + 1300 * MINUTE + timedelta(seconds=40)
    cursor = changed(misfire_window_seconds=7 * 86_400)
    seen: list[Occurrence] = []
    rounds = 0
    while cursor.next_at <= now:
        piece = planned(cursor, now)
        assert piece.next_at is not None
        seen += piece.occurrences
        cursor = msgspec.structs.replace(cursor, next_at=piece.next_at)
        rounds += 1

    assert rounds == 1301 // TIMES_PER_ROUND + 1
    assert [occurrence.scheduled_for for occurrence in seen] == [NOON + n * MINUTE for n in range(1302)]
    ran = [occurrence.scheduled_for for occurrence in seen if occurrence.reason is None]
    assert ran == [NOON + 1300 * MINUTE, NOON + 1301 * MINUTE]


def test_nothing_is_planned_after_the_end_of_the_task() -> None:
    result = planned(changed(ends_at=NOON + MINUTE), NOON, timedelta(minutes=5))

    assert [occurrence.scheduled_for for occurrence in result.due] == [NOON, NOON + MINUTE]
    assert result.next_at is None


def test_a_task_stops_after_its_number_of_runs() -> None:
    result = planned(changed(max_runs=5, runs_planned=3), NOON, timedelta(minutes=9))

    assert len(result.due) == 2
    assert result.next_at is None


def test_jitter_delays_the_run_and_not_the_nominal_time() -> None:
    occurrence = planned(changed(jitter_seconds=50), NOON).due[0]

    assert occurrence.scheduled_for == NOON
    assert NOON <= occurrence.run_at < NOON + timedelta(seconds=50)
    assert planned(changed(jitter_seconds=50), NOON).due[0].run_at == occurrence.run_at


def test_a_cursor_that_stands_on_no_occurrence_goes_to_the_next_one() -> None:
    result = planned(changed(next_at=NOON + timedelta(seconds=20)), NOON + MINUTE)

    assert [occurrence.scheduled_for for occurrence in result.due] == [NOON + MINUTE]


def test_a_schedule_that_yields_no_more_empties_the_cursor() -> None:
    once = changed(schedule_kind=ScheduleKind.ONCE, schedule_expr=NOON.isoformat())

    assert planned(once, NOON).next_at is None


def test_a_blackout_has_no_occurrences() -> None:
    blackout = '[{"from": "2026-05-04T12:01:00Z", "until": "2026-05-04T12:03:00Z"}]'
    result = planned(changed(exclusions=blackout), NOON, timedelta(minutes=4))

    times = [occurrence.scheduled_for for occurrence in result.occurrences]
    assert times == [NOON, NOON + 3 * MINUTE, NOON + 4 * MINUTE]


def test_a_round_that_is_full_is_not_the_end_of_the_schedule() -> None:
    result = planned(EVERY_MINUTE, NOON, timedelta(days=1))

    assert len(result.due) == TIMES_PER_ROUND
    assert result.next_at == NOON + TIMES_PER_ROUND * MINUTE


def test_tasks_that_were_made_at_different_times_share_a_cron_schedule_but_no_recurrence() -> None:
    recurrence = changed(schedule_kind=ScheduleKind.RRULE, schedule_expr="FREQ=DAILY;INTERVAL=2")
    made_later = {"anchor_at": NOON + MINUTE}

    assert changed(**made_later).timetable == EVERY_MINUTE.timetable
    assert msgspec.structs.replace(recurrence, **made_later).timetable != recurrence.timetable

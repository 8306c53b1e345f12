"""Facts from the suites of other projects and from RFC 5545, where the repository lies beside them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.timing.acceptance import check_schedule
from shared.timing.fault import ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.vocabulary.states import ScheduleKind

CASES = Path(__file__).parents[4] / "shared" / "conformance"
if not CASES.is_dir():
    pytest.skip(f"no conformance cases beside the repository, in {CASES}", allow_module_level=True)

EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
BEFORE_ALL_INVALID = datetime(1990, 1, 1, tzinfo=UTC)
ANCHOR = datetime(1997, 9, 2, 9, tzinfo=UTC)

WRONG = {
    "cron-croniter-068": "31W in November: Cronos-354 and -355 leave out a month without that day, as plain 31 does",
    "cron-croniter-129": "Thu-Tue/2 has Thursday, Saturday, Monday: Cronos-202 counts sat-tue/2 on over the weekend",
    "cron-croniter-130": "as cron-croniter-129",
    "invalid-218": "5-1 is a range over the end of the month, as 20-5/5 in Cronos rows tagged wrap-range",
    "invalid-568": "30-20 is one too, as 55-5 in Cronos rows tagged wrap-range",
    "invalid-228": "MONL is valid in Cronos-297; Quartz documents the form as 'FRIL', the last Friday of the month",
    "invalid-468": "SUNDAY is valid in NCrontab-103 and NCrontab-104",
    "invalid-496": "as invalid-468",
    "invalid-604": "names may be cut short: NCrontab-101 has 'Augu' and 'DECEM'",
}
# Decided beside the cases: EXRULE, which RFC 5545 (appendix A.1) deprecates, is refused.
WITH_EXRULE = frozenset(f"rrule-dateutil-{number}" for number in (237, 240, 253, 257))

Row = dict[str, Any]  # A row is whatever its source could tell.


def _rows(name: str) -> list[Row]:
    rows = [json.loads(line) for line in (CASES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["id"] not in WRONG.keys() | WITH_EXRULE]


def _by_suite(name: str) -> list[Any]:
    def suite(row: Row) -> str:
        return str(row["source"]).partition(":")[0].partition(" ")[0]

    grouped = groupby(sorted(_rows(name), key=suite), key=suite)
    return [pytest.param(list(rows), id=f"{name}-{source}") for source, rows in grouped]


def _schedule(row: Row) -> Schedule:
    return compile_schedule(ScheduleKind(row["kind"]), row["expr"], row["tz"], anchor=ANCHOR)


def _occurrences(row: Row, count: int) -> Iterator[datetime]:
    schedule = _schedule(row)
    at: datetime | None = datetime.fromisoformat(row["after"]).astimezone(UTC) if "after" in row else EARLIEST
    for _ in range(count):
        at = schedule.next_after(at) if at else None
        if at is None or ("window_end" in row and at > datetime.fromisoformat(row["window_end"])):
            return
        yield at


def _instants(row: Row, name: str) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in row.get(name, [])]


def _has_fields(occurrence: datetime, fields: Row | None) -> bool:
    shown = {name: getattr(occurrence, name) for name in ("year", "month", "day", "hour", "minute", "second")}
    shown["isoweekday"] = occurrence.isoweekday()
    return all(value is None or shown[name] == value for name, value in (fields or {}).items())


def _is_met(row: Row) -> bool:
    expected, forbidden = _instants(row, "expected"), _instants(row, "not_expected")
    fields = row.get("expected_fields", [])
    asked = max(len(expected), len(fields))
    found = list(_occurrences(row, asked + 1))
    ends = row.get("complete") or row.get("exhausted")
    local = [at.astimezone(ZoneInfo(row["tz"])) for at in found]
    return (
        found[: len(expected)] == expected
        and len(found) >= asked
        and not (ends and len(found) > asked)
        and not set(found[:1]) & set(forbidden)
        and all(_has_fields(at, wanted) for at, wanted in zip(local, fields, strict=False))
    )


def _is_refused(row: Row) -> bool:
    try:
        check_schedule(_schedule(row), now=BEFORE_ALL_INVALID, min_interval_seconds=1)
    except ScheduleFault:
        return True
    return False


@pytest.mark.parametrize("rows", [*_by_suite("cron"), *_by_suite("rrule")])
def test_occurrences_are_those_that_the_suite_expects(rows: list[Row]) -> None:
    assert [row["id"] for row in rows if not _is_met(row)] == []


@pytest.mark.parametrize("rows", _by_suite("invalid"))
def test_what_the_suite_refuses_is_refused(rows: list[Row]) -> None:
    assert [row["id"] for row in rows if not _is_refused(row)] == []


def test_no_more_rows_are_held_to_be_wrong_than_can_be_argued_for() -> None:
    assert len(WRONG) <= 10


def test_exrule_is_refused_with_the_way_out() -> None:
    rows = [json.loads(line) for line in (CASES / "rrule.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if row["id"] in WITH_EXRULE:
            with pytest.raises(ScheduleFault, match="EXDATE"):
                _schedule(row)

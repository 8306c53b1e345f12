"""`python -m tests.property.fuzz COUNT [SEED]`: expressions mutated from the conformance cases, each compiled and
asked for its next occurrence from three instants. Only ScheduleFault may escape; each act has its budget of time."""

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.timing.acceptance import check_schedule
from shared.timing.fault import ScheduleFault
from shared.timing.schedule import compile_schedule
from shared.vocabulary.states import ScheduleKind

CASES = Path(__file__).parents[3] / "shared" / "conformance"
BUDGET_SECONDS = 0.050
ZONES = ("UTC", "Europe/Chisinau", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca")
KINDS = frozenset({"cron", "rrule", "once"})
SEEDS = (
    (ScheduleKind.CRON, "0 9 * * 1-5"),
    (ScheduleKind.CRON, "*/2 * * * * *"),
    (ScheduleKind.RRULE, "FREQ=MINUTELY;INTERVAL=7"),
    (ScheduleKind.ONCE, "2026-03-29T02:30:00"),
)
ALPHABET = " *,-/#?LW0123456789=;:TZ\nABDEFHIMNORSUVWXY\x00é\ud800"
ANCHOR = datetime(2026, 1, 15, 9, 34, 56, tzinfo=UTC)


def main(count: int, seed: int) -> int:
    draw = random.Random(seed)  # noqa: S311 (repeatable, guards nothing)
    expressions = _known_expressions()
    seen: Counter[str] = Counter()
    slowest = (0.0, "", "")
    for _ in range(count):
        kind, known = draw.choice(expressions)
        expr = _mutated(known, draw)
        for act, seconds in _timed(kind, expr, draw, seen):
            if seconds > slowest[0]:
                slowest = (seconds, act, expr)
    sys.stdout.write(
        f"{count} expressions, seed {seed}: {dict(seen)}; slowest {slowest[0] * 1000:.1f} ms: {slowest[1:]}\n"
    )
    return int(slowest[0] > BUDGET_SECONDS)


def _timed(kind: ScheduleKind, expr: str, draw: random.Random, seen: Counter[str]) -> Iterator[tuple[str, float]]:
    began_at = time.process_time()
    try:
        schedule = compile_schedule(kind, expr, draw.choice(ZONES), anchor=ANCHOR)
        first = check_schedule(schedule, now=ANCHOR, min_interval_seconds=1)
    except ScheduleFault as fault:
        seen[fault.error_code] += 1
        yield "refuse", time.process_time() - began_at
        return
    seen["accepted"] += 1
    for instant in (
        first,
        ANCHOR - timedelta(days=draw.randrange(45_000)),
        ANCHOR + timedelta(days=draw.randrange(9000)),
    ):
        began_at = time.process_time()
        schedule.next_after(instant)
        yield "next_after", time.process_time() - began_at


def _mutated(expr: str, draw: random.Random) -> str:
    characters = list(expr)
    for _ in range(draw.choice((0, 1, 1, 2, 3, 8))):
        place = draw.randrange(len(characters) + 1)
        match draw.randrange(3):
            case 0:
                characters.insert(place, draw.choice(ALPHABET))
            case 1 if characters:
                del characters[place - 1]
            case _ if characters:
                characters[place - 1] = draw.choice(ALPHABET)
    return "".join(characters)


def _known_expressions() -> Sequence[tuple[ScheduleKind, str]]:
    """Those of the conformance cases where they are; a handful otherwise."""
    files = [CASES / f"{name}.jsonl" for name in ("cron", "rrule", "invalid")]
    lines = [line for file in files if file.exists() for line in file.read_text(encoding="utf-8").splitlines()]
    cases = [case for line in lines if "expr" in (case := json.loads(line))]
    return [(ScheduleKind(case["kind"]), case["expr"]) for case in cases if case["kind"] in KINDS] or SEEDS


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))

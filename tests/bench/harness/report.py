"""What was measured, as JSON for programs and as a table for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.bench.harness.question import Answer, Measurement

HEADINGS = ("question", "figure", "median", "min", "max", "runs", "goal", "met")
WORDS = {None: "", True: "yes", False: "**no**"}


def as_json(answers: Mapping[str, Answer], surroundings: Mapping[str, Any]) -> dict[str, Any]:
    """`figures` holds the medians of all questions by name."""
    return {
        **surroundings,
        "figures": {found.name: found.median for answer in answers.values() for found in answer},
        "questions": {question: [_in_full(found) for found in answer] for question, answer in answers.items()},
    }


def as_table(answers: Mapping[str, Answer]) -> str:
    rows = [HEADINGS, tuple("-" * len(heading) for heading in HEADINGS)]
    rows += [_row(question, found) for question, answer in answers.items() for found in answer]
    return "\n".join(_lines(rows))


def _in_full(found: Measurement) -> dict[str, Any]:
    return {
        "name": found.name,
        "median": found.median,
        "min": min(found.runs),
        "max": max(found.runs),
        "runs": found.runs,
        "goal": found.goal,
        "is_met": found.is_met,
        "note": found.note,
    }


def _row(question: str, found: Measurement) -> tuple[str, ...]:
    middle = (_number(found.median), _number(min(found.runs)), _number(max(found.runs)), str(len(found.runs)))
    return (question, found.name, *middle, str(found.goal or ""), WORDS[found.is_met])


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"


def _lines(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"

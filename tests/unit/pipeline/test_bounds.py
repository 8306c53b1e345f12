"""Whatever a request holds, judging it ends soon: nothing else is answered meanwhile."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from shared.outbound.addresses import AddressPolicy
from shared.pipeline.rehearsal import Sample, rehearse
from shared.tasks.execution import check_execution
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.pipeline import Payload

# Of processor time. What is judged takes half of it at most; the rest is for a machine that is busy.
SECONDS = 0.5
LONG = "a" * 27 + "b" * 25
PARAMS = {f"{LONG}{number:03d}": 1 for number in range(3000)}
# One that is worth its length: no other expression of so many characters takes longer to compile.
DEAR = "+[1]" * 240
EXISTS = "${size(params.a.map(x, params.a.exists(y, y == -1)))}"


def _judged(
    pipeline: list[dict[str, Any]], params: Mapping[str, Any] | None = None, **more: object
) -> list[FieldFault]:
    payload = {"pipeline": pipeline, "params": params or {}}
    task = {"payload": payload, "concurrency_key": None, "concurrency_limit": 1, "on_success": None, "on_failure": None}
    began_at = time.process_time()
    try:
        check_execution(task | more, task | more, AddressPolicy())
        faults: list[FieldFault] = []
    except Invalid as refusal:
        faults = [*refusal.validation_errors]
    assert time.process_time() - began_at < SECONDS
    return faults


def _step(number: int, arguments: Mapping[str, Any], uses: str = "transform", **more: object) -> dict[str, Any]:
    return {"id": f"s{number}", "uses": uses, "with": arguments, **more}


@pytest.mark.parametrize(
    ("pipeline", "params"),
    [
        ([_step(0, {"value": [f"${{params.{LONG}{number}x}}" for number in range(200)]})], PARAMS),
        ([_step(step, {f"{LONG}{number}": 1 for number in range(60)}) for step in range(50)], {}),
        ([_step(step, {f"headerz{number}": 1 for number in range(60)}, "http.request") for step in range(50)], {}),
        ([_step(step, {}) | {f"depends_onn{number}": 1 for number in range(60)} for step in range(50)], {}),
        ([{"parallel": []} | {f"paralel{number}": 1 for number in range(4900)}], {}),
        ([{"parallel": [{} for _ in range(4500)]}], {}),
        (
            [
                _step(step, {"value": [f"${{steps.{LONG}{step}x{n}}}" for n in range(5)]}, id=f"{LONG}{step}")
                for step in range(50)
            ],
            {},
        ),
        (
            [_step(step, {"value": [f"${{steps.s{n}}}" for n in range(step + 1, step + 22)]}) for step in range(50)],
            {},
        ),
    ],
    ids=["params", "inputs", "fields of inputs", "fields", "fields of a group", "steps", "names of steps", "cycles"],
)
def test_a_hundred_faults_are_found_soon_however_many_there_are(
    pipeline: list[dict[str, Any]], params: dict[str, Any]
) -> None:
    assert len(_judged(pipeline, params)) == 100


def test_the_first_faults_say_what_was_probably_meant() -> None:
    faults = _judged([_step(0, {"value": [f"${{params.colour{number}}}" for number in range(20)]})], {"color": 1})
    assert [fault.suggestion for fault in faults] == ["params.color"] * 10 + [None] * 10


@pytest.mark.parametrize(("steps", "extracts", "length"), [(50, 4, 990), (10, 30, 260), (30, 7, 1000)])
def test_what_is_compiled_for_answers_counts_among_all_expressions(steps: int, extracts: int, length: int) -> None:
    pipeline = [
        _step(
            step,
            {
                "url": "https://example.org",
                "extract": {f"x{n}": f"{step * 100 + n + 10_000}".ljust(length, " ") for n in range(extracts)},
            },
            "http.request",
        )
        for step in range(steps)
    ]
    (fault,) = _judged(pipeline)
    assert (fault.field, fault.code) == ("payload.pipeline", "too_long")


def test_an_answer_is_judged_by_few_characters() -> None:
    extract = {f"x{number}": f"{number}".ljust(1000, " ") for number in range(9)}
    (fault,) = _judged([_step(0, {"url": "https://example.org", "extract": extract}, "http.request")])
    assert (fault.field, fault.code) == ("payload.pipeline[0].with.extract", "too_long")


def test_what_follows_shares_the_characters_of_the_pipeline() -> None:
    def texts(first: int) -> list[str]:
        return [f"${{{first + number}{DEAR}}}" for number in range(13)]

    publish = {"publish": {"topic": "a.b", "payload": {"texts": texts(100)}}}
    assert _judged([_step(0, {"value": texts(0)})]) == []
    (fault,) = _judged([_step(0, {"value": texts(0)})], on_success=publish)
    assert (fault.field, fault.code) == ("on_success", "too_long")


def test_a_long_key_is_cut_in_the_paths_below_it() -> None:
    (fault,) = _judged([_step(0, {"value": {"k" * 65_000: ["${x}"]}})])
    assert fault.field == f"payload.pipeline[0].with.value.{'k' * 64}…[0]"


@pytest.mark.parametrize("text", [EXISTS, "${params.b == [[1]]}", "${params.a.map(x, params.a.map(y, params.b))}"])
def test_a_rehearsal_computes_only_so_much(text: str) -> None:
    params = {"a": [*range(180)], "b": [[*range(100)] for _ in range(20)]}
    payload = Payload(pipeline=[_step(number, {"value": [text] * 7}) for number in range(50)], params=params)
    sample = Sample(run={}, task={}, event=None, is_event_known=True)
    began_at = time.process_time()
    steps = rehearse(payload, sample, AddressPolicy())
    assert time.process_time() - began_at < 2 * SECONDS
    assert len(steps) == 50
    assert "too much" in steps[-1].notes[-1]


def test_a_rehearsal_says_that_a_step_computes_too_much() -> None:
    payload = Payload(pipeline=[_step(0, {"value": [EXISTS] * 8})], params={"a": [*range(180)]})
    (step,) = rehearse(payload, Sample(run={}, task={}, event=None, is_event_known=True), AddressPolicy())
    assert "too much to compute in one step" in step.notes[-1]

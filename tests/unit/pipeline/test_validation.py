"""What check_pipeline refuses, in which words and at which path, and what it lets through."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor.pipeline.program import compile_payload
from shared.outbound.addresses import AddressPolicy
from shared.pipeline.placing import placed
from shared.pipeline.references import PARAMS, STEPS
from shared.pipeline.rehearsal import Sample, rehearse
from shared.pipeline.texts import Text, texts_of
from shared.pipeline.validation import check_pipeline
from shared.tools.catalogue import CATALOGUE
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.pipeline import Payload
from tests.unit.pipeline.bad import BAD, URL, Bad, call, transform

POLICY = AddressPolicy()


def _refusal(pipeline: object, params: object = None) -> Invalid | None:
    try:
        payload = decode({"pipeline": pipeline, "params": params or {}}, Payload, "payload")
        check_pipeline(payload, POLICY)
    except Invalid as refusal:
        return refusal
    return None


def _faults(pipeline: object, params: object = None) -> tuple[FieldFault, ...]:
    refusal = _refusal(pipeline, params)
    return () if refusal is None else refusal.validation_errors


@pytest.mark.parametrize("bad", BAD, ids=[bad.about for bad in BAD])
def test_what_cannot_be_executed_is_refused_at_its_path(bad: Bad) -> None:
    refusal = _refusal(bad.pipeline, bad.params)
    assert refusal is not None
    told = [(fault.field, fault.code) for fault in refusal.validation_errors]
    if bad.told:
        assert told == bad.told
    assert refusal.error_code == told[0][1]
    assert any(bad.says in fault.message for fault in refusal.validation_errors)
    assert all(len(fault.message) < 600 for fault in refusal.validation_errors)


GOOD: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("a call", [call()], {}),
    (
        "earlier results by id and by save_as",
        [transform("a", save_as="x"), transform("b", "${steps.a.output} ${steps.x}")],
        {},
    ),
    ("a save_as that is the step's own id", [transform("a", save_as="a"), transform("b", "${steps.a}")], {}),
    (
        "results of a group after it",
        [{"parallel": [transform("a"), transform("b")]}, transform("c", "${steps.a} ${steps.b}")],
        {},
    ),
    ("names that are words elsewhere", [transform(name) for name in ("params", "steps", "event", "item", "index")], {}),
    ("a bare if", [transform("a") | {"if": "params.n > 1"}], {"n": 1}),
    ("an if in braces", [transform("a") | {"if": "${params.n > 1}"}], {"n": 1}),
    ("a foreach over a parameter", [transform("a", "${item.x} ${index}", foreach="params.list")], {"list": []}),
    ("a foreach over a literal list", [transform("a", "${item}", foreach=[1, "${params.n}"])], {"n": 1}),
    ("an event that may be null", [transform("a", "${event.payload.x}")], {}),
    ("the last output and any secret", [transform("a", "${previous.x} ${secrets.any}")], {}),
    (
        "what is known of run and task",
        [transform("a", "${run.id} ${run.scheduled_for} ${task.title} ${task.created_by}")],
        {},
    ),
    ("a variable of a comprehension", [transform("a", "${params.list.map(each, each.name)}")], {"list": []}),
    (
        "a URL that is known at run time only",
        [call(url="${params.url}", headers={"X-A": "${secrets.key}"})],
        {"url": URL},
    ),
    ("a method that is known at run time only", [call(method="${params.m}")], {"m": "GET"}),
    ("50 steps", [transform(f"s{n}") for n in range(50)], {}),
    ("100 items", [transform("a", foreach=[0] * 100)], {}),
    ("text with a dollar", [transform("a", "5 $ {x} $")], {}),
]


@pytest.mark.parametrize(("about", "pipeline", "params"), GOOD, ids=[about for about, _, _ in GOOD])
def test_what_can_be_executed_is_accepted(about: str, pipeline: list[Any], params: dict[str, Any]) -> None:
    assert _faults(pipeline, params) == (), about
    assert compile_payload(Payload(pipeline=pipeline, params=params)).groups


def test_there_are_enough_bad_examples() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_example_of_each_tool_is_accepted(name: str) -> None:
    example = msgspec.to_builtins(CATALOGUE[name].example)
    assert example["uses"] == name
    steps, _ = placed(Payload(pipeline=[example]))
    texts = [text for text in texts_of(steps[0]) if isinstance(text, Text)]
    params = {member: None for text in texts for member in text.members(PARAMS) or ()}
    earlier = {member for text in texts for member in text.members(STEPS) or ()}
    assert _faults([*map(transform, sorted(earlier)), example], params) == ()


@pytest.mark.parametrize(
    ("pipeline", "params", "suggestion"),
    [
        ([{"id": "a", "uses": "http.requst", "with": {"url": URL}}], {}, "http.request"),
        ([transform("a", iff="true")], {}, "if"),
        ([transform("a", "${params.urll}")], {"url": URL}, "params.url"),
        ([transform("a", "${parms.url}")], {"url": URL}, "params"),
        ([transform("order"), transform("b", "${steps.ordr.output}")], {}, "steps.order"),
        ([transform("a", "${run.atempt}")], {}, "run.attempt"),
        ([transform("a"), transform("a")], {}, "a_2"),
    ],
)
def test_a_slip_comes_with_what_was_probably_meant(pipeline: object, params: object, suggestion: str) -> None:
    assert _faults(pipeline, params)[0].suggestion == suggestion


def test_a_bad_expression_says_at_which_character() -> None:
    (fault,) = _faults([transform("a", "price: ${params.n +}")], {"n": 1})
    assert fault.position is not None
    assert 8 <= fault.position <= 20


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"timeout_seconds": -1}, "/properties/timeout_seconds"),
        ({"headers": {"X-A": 5}}, "/properties/headers"),
        ({"extract": {"a b": "x"}}, "/properties/extract"),
        ({"metod": "GET"}, "#/$defs/HttpRequestInput"),
        ({"expect": {"status": []}}, "#/$defs/Expect/properties/status"),
        ({"expect": {"status": [99]}}, "#/$defs/Expect/properties/status/items"),
    ],
)
def test_an_input_that_does_not_fit_says_which_part_of_the_schema(arguments: dict[str, Any], path: str) -> None:
    (fault,) = _faults([call(**arguments)])
    assert fault.schema_path is not None
    assert fault.schema_path.endswith(path)


def test_what_no_schema_says_has_no_place_in_one() -> None:
    assert _faults([call(url="http://10.0.0.1/")])[0].schema_path is None


def test_a_text_that_is_wrong_a_thousand_times_is_told_a_hundred_times() -> None:
    assert len(_faults([transform("a", ["${nobody}"] * 1000)])) == 100


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["${steps.a}", "${item}", "${", "a", "http.request", "transform", "${params.x + }", URL]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "id",
    "uses",
    "with",
    "if",
    "foreach",
    "save_as",
    "retry",
    "parallel",
    "on_error",
    "timeout_seconds",
    "concurrency",
]
STEP = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), JSON, max_size=6)
LIKELY = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c"]), "uses": st.sampled_from([*CATALOGUE])},
    optional={
        "with": st.dictionaries(st.sampled_from(["url", "value", "json", "seconds", "headers", "topic"]), JSON),
        "if": JSON,
        "foreach": JSON,
        "save_as": JSON,
    },
)


@given(
    st.lists(
        STEP | LIKELY | st.builds(lambda members: {"parallel": members}, st.lists(STEP | LIKELY, max_size=3)),
        max_size=4,
    ),
    JSON,
)
@settings(max_examples=500, deadline=None)
def test_whatever_is_sent_is_accepted_or_refused_with_a_path(pipeline: object, params: object) -> None:
    faults = _faults(pipeline, params)
    for fault in faults:
        assert fault.field.startswith("payload")
        assert fault.message
        assert fault.code
    if not faults:
        payload = decode({"pipeline": pipeline, "params": params or {}}, Payload)
        compile_payload(payload)
        msgspec.json.encode(rehearse(payload, Sample(run={}, task={}, event={}, is_event_known=True), POLICY))

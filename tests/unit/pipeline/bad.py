"""Pipelines that cannot be executed: what is wrong, where it is told, and by which code."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

URL = "https://example.com/hook"
CODE = "invalid_pipeline"


class Bad(NamedTuple):
    """`told`: field and code of every fault, in order. `says`: a part of the first message."""

    about: str
    pipeline: list[dict[str, Any]]
    told: list[tuple[str, str]]
    says: str = ""
    params: Mapping[str, Any] = MappingProxyType({})


def transform(name: str, value: object = 1, **more: object) -> dict[str, Any]:
    return {"id": name, "uses": "transform", "with": {"value": value}, **more}


def call(name: str = "call", **arguments: object) -> dict[str, Any]:
    return {"id": name, "uses": "http.request", "with": {"url": URL, **arguments}}


def at(path: str, code: str = CODE) -> list[tuple[str, str]]:
    return [(f"payload.pipeline{path}", code)]


A, B = transform("a"), transform("b")

FORMS = [
    Bad("no id", [{"uses": "transform", "with": {"value": 1}}], at("[0].id", "required")),
    Bad("no tool", [{"id": "a"}], at("[0].uses", "required")),
    Bad("an empty step", [{}], at("[0].id", "required") + at("[0].uses", "required")),
    Bad("a misspelt field", [transform("a", iff="true")], at("[0].iff", "unknown_field")),
    Bad("an id with a space", [transform("a b")], at("[0].id"), "letters, digits and underscores"),
    Bad("an id that begins with a digit", [transform("1a")], at("[0].id")),
    Bad("an empty id", [transform("")], at("[0].id")),
    Bad("an id of 65 letters", [transform("a" * 65)], at("[0].id")),
    Bad("an id of another type", [transform("a") | {"id": 1}], at("[0].id", "invalid_type")),
    Bad("a save_as with a dot", [transform("a", save_as="b.c")], at("[0].save_as")),
    Bad("a save_as with a dash", [transform("a", save_as="b-c")], at("[0].save_as")),
    Bad("the same id twice", [A, B, A], at("[2].id"), "payload.pipeline[0]"),
    Bad("the same save_as twice", [transform("a", save_as="x"), transform("b", save_as="x")], at("[1].save_as")),
    Bad("a save_as that is an earlier id", [A, transform("b", save_as="a")], at("[1].save_as")),
    Bad("an id that is an earlier save_as", [transform("a", save_as="b"), B], at("[1].id")),
    Bad("the same id within a group", [{"parallel": [A, A]}], at("[0].parallel[1].id")),
    Bad("the same id in a group and after it", [{"parallel": [A, B]}, B], at("[1].id"), "pipeline[0].parallel[1]"),
    Bad("a negative timeout", [transform("a", timeout_seconds=-1)], at("[0].timeout_seconds", "out_of_range")),
    Bad("a timeout of zero", [transform("a", timeout_seconds=0)], at("[0].timeout_seconds", "out_of_range")),
    Bad("a timeout beyond a day", [transform("a", timeout_seconds=86_401)], at("[0].timeout_seconds", "out_of_range")),
    Bad("retries without a number", [transform("a", retry={})], at("[0].retry.max_retries", "required")),
    Bad("too many retries", [transform("a", retry={"max_retries": 101})], at("[0].retry.max_retries", "out_of_range")),
    Bad(
        "an unknown backoff",
        [transform("a", retry={"max_retries": 1, "backoff_strategy": "never"})],
        at("[0].retry.backoff_strategy", "invalid_choice"),
    ),
    Bad("an unknown on_error", [transform("a", on_error="ignore")], at("[0].on_error", "invalid_choice")),
    Bad("an unknown on_unknown", [transform("a", on_unknown="ask")], at("[0].on_unknown", "invalid_choice")),
    Bad("no concurrency", [transform("a", concurrency=0)], at("[0].concurrency", "out_of_range")),
    Bad("a concurrency of 101", [transform("a", concurrency=101)], at("[0].concurrency", "out_of_range")),
    Bad("an input that is a list", [transform("a") | {"with": []}], at("[0].with", "invalid_type")),
    Bad("an if that is no text", [transform("a") | {"if": True}], at("[0].if", "invalid_type")),
    Bad("a foreach that is a number", [transform("a", foreach=3)], at("[0].foreach", "invalid_type")),
    Bad("a foreach over 101 items", [transform("a", foreach=[0] * 101)], at("[0].foreach", "too_long")),
    Bad("an empty group", [{"parallel": []}], at("[0].parallel", "required")),
    Bad("a group that is no list", [{"parallel": A}], at("[0].parallel", "invalid_type")),
    Bad("a group with a text in it", [{"parallel": [A, "b"]}], at("[0].parallel[1]", "invalid_type")),
    Bad("a group with an id", [{"parallel": [A], "id": "g"}], at("[0].id", "unknown_field")),
    Bad("a group in a group", [{"parallel": [{"parallel": [A]}]}], [], "inside another"),
    Bad(
        "51 steps, most of them in groups",
        [{"parallel": [transform(f"s{n}") for n in range(50)]}, A],
        at("", "too_long"),
    ),
]

INPUTS = [
    Bad("an unknown tool", [{"id": "a", "uses": "shell.run"}], at("[0].uses", "unknown_tool"), "known ones are"),
    Bad(
        "a misspelt tool in a group",
        [{"parallel": [A, {"id": "b", "uses": "http.requst"}]}],
        at("[0].parallel[1].uses", "unknown_tool"),
    ),
    Bad("an empty tool", [{"id": "a", "uses": ""}], at("[0].uses", "unknown_tool")),
    Bad("no url", [{"id": "a", "uses": "http.request", "with": {}}], at("[0].with.url", "required")),
    Bad("no input at all", [{"id": "a", "uses": "http.request"}], at("[0].with.url", "required")),
    Bad("a private address", [call(url="http://10.0.0.1/")], at("[0].with.url", "destination_forbidden")),
    Bad(
        "a metadata address in a group",
        [{"parallel": [A, call(url="http://169.254.169.254/")]}],
        at("[0].parallel[1].with.url", "destination_forbidden"),
    ),
    Bad("another scheme", [call(url="ftp://example.com/")], at("[0].with.url", "invalid_url")),
    Bad("a line break in a header", [call(headers={"X-A": "a\r\nb"})], at("[0].with.headers.X-A", "invalid_header")),
    Bad("a header of the service", [call(headers={"Host": "x"})], at("[0].with.headers.Host", "invalid_header")),
    Bad("an unknown argument", [call(metod="GET")], at("[0].with.metod", "unknown_field")),
    Bad(
        "an unknown argument beside templates",
        [call(url="${params.url}", metod="GET")],
        at("[0].with.metod", "unknown_field"),
        params={"url": URL},
    ),
    Bad("an unknown method", [call(method="get")], at("[0].with.method", "invalid_choice")),
    Bad(
        "an argument of another type beside a template",
        [call(url="${params.url}", body=5)],
        at("[0].with.body", "invalid_type"),
        params={"url": URL},
    ),
    Bad(
        "a wrong timeout beside a template",
        [call(url="${params.url}", timeout_seconds=-1)],
        at("[0].with.timeout_seconds", "out_of_range"),
        params={"url": URL},
    ),
    Bad("a sleep without a time", [{"id": "a", "uses": "sleep", "with": {}}], at("[0].with", "required")),
    Bad(
        "a sleep with two times",
        [{"id": "a", "uses": "sleep", "with": {"seconds": 1, "until": "2030-01-01T00:00:00Z"}}],
        at("[0].with", "required"),
    ),
    Bad(
        "a sleep beyond 30 days",
        [{"id": "a", "uses": "sleep", "with": {"seconds": 2_592_001}}],
        at("[0].with.seconds", "out_of_range"),
    ),
    Bad(
        "a sleep until a time without offset",
        [{"id": "a", "uses": "sleep", "with": {"until": "2030-01-01T00:00:00"}}],
        at("[0].with.until", "invalid_datetime"),
    ),
    Bad("a transform of nothing", [{"id": "a", "uses": "transform", "with": {}}], at("[0].with.value", "required")),
]

EXPRESSIONS = [
    Bad("an expression that is not closed", [transform("a", "x ${1 + 1")], at("[0].with.value")),
    Bad("an empty expression", [transform("a", "${}")], at("[0].with.value")),
    Bad("an operator without its right side", [transform("a", {"n": ["${1 +}"]})], at("[0].with.value.n[0]")),
    Bad("two bad expressions", [transform("a", ["${1 +}", "${)}"])], at("[0].with.value[0]") + at("[0].with.value[1]")),
    Bad("a bad if", [transform("a") | {"if": "1 =="}], at("[0].if")),
    Bad("a bad if in a group", [{"parallel": [transform("a") | {"if": "&&"}]}], at("[0].parallel[0].if")),
    Bad("an empty if", [transform("a") | {"if": ""}], at("[0].if")),
    Bad("an if of two expressions", [transform("a") | {"if": "${true} ${false}"}], at("[0].if")),
    Bad("a bad foreach", [transform("a", foreach="[1, 2")], at("[0].foreach")),
    Bad("a bad expression among literal items", [transform("a", foreach=[1, "${(}"])], at("[0].foreach[1]")),
    Bad("an expression of 1,025 characters", [transform("a", "${" + "1+" * 512 + "1}")], at("[0].with.value")),
    Bad("501 expressions in one input", [transform("a", ["${1}"] * 501)], at("[0].with")),
    Bad(
        "20,020 characters of expressions",
        [transform(f"s{n}", "${" + "1+" * 500 + "1}") for n in range(20)],
        at("", "too_long"),
    ),
    Bad("an expression in a name", [transform("a${1}")], at("[0].id")),
]

NAMES = [
    Bad("an unknown name", [transform("a", "${parms.x}")], at("[0].with.value"), "known ones are params"),
    Bad("an unknown parameter", [transform("a", "${params.urll}")], at("[0].with.value"), "params.urll", {"url": URL}),
    Bad("a parameter where there are none", [transform("a", "${params.x}")], at("[0].with.value"), "none"),
    Bad("an unknown member of run", [transform("a", "${run.attemt}")], at("[0].with.value"), "run.attemt"),
    Bad("an unknown member of task", [transform("a", "${task.payload}")], at("[0].with.value"), "task.payload"),
    Bad("all secrets at once", [transform("a", "${secrets}")], at("[0].with.value"), "Name each secret"),
    Bad(
        "more secrets than a pipeline may use",
        [transform("a", [f"${{secrets.s{number}}}" for number in range(21)])],
        [("payload.pipeline", "too_long")],
        "at most 20 secrets",
    ),
    Bad(
        "a secret where it would be stored",
        [{"id": "a", "uses": "event.publish", "with": {"topic": "a.b", "payload": {"key": "${secrets.key}"}}}],
        at("[0].with.payload.key"),
        "is stored",
    ),
    Bad("an item without a foreach", [transform("a", "${item}")], at("[0].with.value"), "foreach"),
    Bad("an index without a foreach", [transform("a", "${index}")], at("[0].with.value"), "foreach"),
    Bad("an item in the foreach itself", [transform("a", foreach="item.list")], at("[0].foreach")),
    Bad("an item in an if", [transform("a", foreach=[1]) | {"if": "item > 1"}], at("[0].if")),
    Bad("an unknown step", [A, transform("b", "${steps.c.output}")], at("[1].with.value"), "There is no steps.c"),
    Bad("an unknown step in an if", [A, B | {"if": "steps.aa.status == 'succeeded'"}], at("[1].if"), "steps.aa"),
    Bad("an unknown step in a foreach", [A, B | {"foreach": "steps.x.output"}], at("[1].foreach"), "steps.x"),
    Bad("a step that needs itself", [transform("a", "${steps.a.output}")], at("[0].with.value"), "itself"),
    Bad(
        "a step that needs its own save_as", [transform("a", "${steps.x}", save_as="x")], at("[0].with.value"), "itself"
    ),
    Bad("a later step", [transform("a", "${steps.b.output}"), B], at("[0].with.value"), "comes later"),
    Bad(
        "the save_as of a later step",
        [transform("a", "${steps.x}"), transform("b", save_as="x")],
        at("[0].with.value"),
        "later",
    ),
    Bad(
        "a step of the same group",
        [{"parallel": [A, transform("b", "${steps.a.output}")]}],
        at("[0].parallel[1].with.value"),
        "same group",
    ),
    Bad(
        "two steps that need each other",
        [transform("a", "${steps.b}"), transform("b", "${steps.a}")],
        at("[0].with.value"),
        "cycle",
    ),
    Bad(
        "three steps in a circle",
        [transform("a", "${steps.c}"), transform("b", "${steps.a}"), transform("c", "${steps.b}")],
        at("[0].with.value"),
        "cycle",
    ),
    Bad(
        "two steps of a group that need each other",
        [{"parallel": [transform("a", "${steps.b}"), transform("b", "${steps.a}")]}],
        at("[0].parallel[0].with.value") + at("[0].parallel[1].with.value"),
        "cycle",
    ),
    Bad("a step by its name in brackets", [transform("a", '${steps["b"].output}'), B], at("[0].with.value"), "later"),
    Bad("an unknown name in a header", [call(headers={"X-A": "${nobody}"})], at("[0].with.headers.X-A")),
]

TOGETHER = [
    Bad(
        "several faults of several steps",
        [
            {"id": "1", "uses": "shell.run", "if": "("},
            call(url="http://10.0.0.1/", headers={"X-A": "${nobody}"}),
            {"parallel": [transform("ok", iff="x"), transform("ok")]},
        ],
        at("[0].id")
        + at("[0].uses", "unknown_tool")
        + at("[0].if")
        + at("[1].with.url", "destination_forbidden")
        + at("[1].with.headers.X-A")
        + at("[2].parallel[0].iff", "unknown_field")
        + at("[2].parallel[1].id"),
    ),
]

BAD = [*FORMS, *INPUTS, *EXPRESSIONS, *NAMES, *TOGETHER]

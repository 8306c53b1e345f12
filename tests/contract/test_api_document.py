"""The document is in step with the routes, their scopes and their errors."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from services.gateway.app import Parts, build_routes
from services.gateway.documentation.document import TAGS
from services.gateway.documentation.error_codes import ERROR_CODES, TITLES
from services.gateway.documentation.examples import ACTIONS, BODIES
from services.gateway.documentation.names import type_name
from services.gateway.documentation.walk import Described, described_operations
from services.gateway.http.access import access_of
from services.gateway.http.replies import ActionDone
from shared.vocabulary.faults import Fault
from tests.support.documented import ApiDocument, Nothing, Operation, api_document

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
FAULT_MAKERS = re.compile(r"(?i)fault|invalid|wrong|refus|conflict|forbidden|not_?found|badrequest|toomany|unavailable")
# The arguments of those who make faults that are names of fields, not codes.
FIELD_FIRST = frozenset({"FieldFault", "invalid_field", "wrong_query"})


@pytest.fixture(scope="module")
def app() -> Litestar:
    return build_routes(cast("Parts", Nothing()))


@pytest.fixture(scope="module")
def document() -> ApiDocument:
    return api_document()


def test_every_route_declares_a_scope_or_that_it_is_open(app: Litestar) -> None:
    assert [path for path, _, handler in _routes(app) if access_of(handler) is None] == []


def test_every_route_is_in_the_document_with_and_without_the_prefix(app: Litestar, document: ApiDocument) -> None:
    routed = {(path, method) for path, method, _ in _routes(app) if not path.startswith(("/schema", "/metrics"))}
    prefixed = {(path, method) for path, method in routed if path.startswith("/v1/")}
    bare = {(f"/v1{path}", method) for path, method in routed - prefixed}
    assert prefixed == bare
    assert prefixed == {(each.path, each.method.upper()) for each in document.operations()}


def test_operations_have_names_of_their_own(document: ApiDocument) -> None:
    names = Counter(each.described["operationId"] for each in document.operations())
    assert [name for name, times in names.items() if times > 1] == []
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)+|approve|reject", name) for name in names), sorted(names)


def test_every_operation_says_what_it_does(document: ApiDocument) -> None:
    lacking = [
        each.described["operationId"]
        for each in document.operations()
        if not each.described["summary"] or each.described["description"].count("\n\n") < 1
    ]
    assert lacking == [], "give these handlers a docstring"


def test_every_operation_belongs_to_a_described_tag(document: ApiDocument) -> None:
    used = {tag for each in document.operations() for tag in each.described["tags"]}
    assert used == set(TAGS), "TAGS in documentation/document.py lists the tags of the controllers"


def test_every_operation_has_an_example_of_what_it_takes_and_gives(document: ApiDocument) -> None:
    lacking = [name for each in document.operations() for name in _without_example(document, each)]
    assert lacking == [], "add them to services/gateway/documentation/examples/"


def test_examples_are_what_their_structs_read_and_write(app: Litestar) -> None:
    types = {type_name(each): each for one in described_operations(app) for each in _types(one)}
    for name, body in BODIES.items():
        assert name in types, f"no route takes or gives a {name}"
        msgspec.convert(body, types[name], strict=False)
    for body in ACTIONS.values():
        msgspec.convert(body, ActionDone)
    names = {one.name for one in described_operations(app)}
    assert set(ACTIONS) <= names, "examples of actions that no operation has"


def test_examples_fit_the_schemas_beside_them(document: ApiDocument) -> None:
    for each in document.operations():
        for content in _contents(document, each):
            for example in content.get("examples", {}).values():
                document.validator(content["schema"]).validate(example["value"])


def test_every_reference_leads_somewhere(document: ApiDocument) -> None:
    for reference in _references(document.document):
        assert document.resolved({"$ref": reference})


def test_every_struct_that_refuses_unknown_fields_says_so(app: Litestar, document: ApiDocument) -> None:
    schemas = document.document["components"]["schemas"]
    for one in described_operations(app):
        if one.takes is not None and one.takes.__struct_config__.forbid_unknown_fields:
            assert schemas[type_name(one.takes)]["additionalProperties"] is False


def test_every_code_in_the_source_is_registered() -> None:
    missing = {code: sorted(places) for code, places in _codes_in_the_source().items() if code not in ERROR_CODES}
    assert missing == {}, "describe them in services/gateway/documentation/error_codes.py"


def test_every_registered_code_is_used() -> None:
    words = {word for tree in _sources() for word in _words(tree)}
    assert sorted(set(ERROR_CODES) - words) == []


def test_statuses_are_called_what_their_faults_call_them() -> None:
    faults = [*_subclasses(Fault)]
    assert {fault.status: fault.title for fault in faults if fault.title != Fault.title}.items() <= TITLES.items()


def test_every_error_answers_with_a_code_of_its_status(document: ApiDocument) -> None:
    for name, answer in document.document["components"]["responses"].items():
        schema = answer["content"]["application/problem+json"]["schema"]
        assert schema["properties"]["error_code"]["enum"], name
        assert f"`{schema['properties']['error_code']['enum'][0]}`" in answer["description"]


def _routes(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS":
                    yield route.path_format, method, handler


def _types(one: Described) -> Iterator[Any]:
    for each in (one.takes, one.gives):
        if each is not None:
            yield from (each, *get_args(each))


def _without_example(document: ApiDocument, each: Operation) -> Iterator[str]:
    name = each.described["operationId"]
    for content in _contents(document, each):
        if "$ref" in content["schema"] and not content.get("examples"):
            yield f"{name}: {content['schema']['$ref'].rpartition('/')[2]}"


def _contents(document: ApiDocument, each: Operation) -> Iterator[dict[str, Any]]:
    bodies = [each.described.get("requestBody", {}), *map(document.resolved, each.described["responses"].values())]
    for body in bodies:
        yield from body.get("content", {}).values()


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for key, value in node.items():
            if key not in ("examples", "example"):
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@cache
def _sources() -> list[ast.Module]:
    """All but where codes are only named."""
    paths = [path for folder in ("services/gateway", "shared") for path in (ROOT / folder).rglob("*.py")]
    return [
        ast.parse(path.read_text())
        for path in paths
        if "documentation" not in path.parts and path.name != "documentation.py"
    ]


def _words(tree: ast.Module) -> Iterator[str]:
    return (each.value for each in ast.walk(tree) if isinstance(each, ast.Constant) and isinstance(each.value, str))


def _codes_in_the_source() -> dict[str, set[str]]:
    """Codes by what makes a fault of them: `error_code=…`, `code=…`, a class's own, the code of a field."""
    trees = _sources()
    constants = {name: value for tree in trees for name, value in _constants(tree)}
    found: dict[str, set[str]] = {}
    for tree in trees:
        for each in ast.walk(tree):
            for maker, node in _code_nodes(each):
                code = constants.get(node.id) if isinstance(node, ast.Name) else getattr(node, "value", None)
                if isinstance(code, str) and CODE.fullmatch(code):
                    found.setdefault(code, set()).add(maker)
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for each in tree.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
            yield from ((target.id, each.value.value) for target in each.targets if isinstance(target, ast.Name))


def _code_nodes(each: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(each, ast.Call):
        maker = each.func.attr if isinstance(each.func, ast.Attribute) else getattr(each.func, "id", "")
        if maker in FIELD_FIRST:
            yield from ((maker, node) for node in each.args[2:3])
        if FAULT_MAKERS.search(maker):
            yield from ((maker, word.value) for word in each.keywords if word.arg in ("error_code", "code"))
    elif isinstance(each, ast.ClassDef):
        for line in each.body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Tuple):
                names = [getattr(target, "id", "") for target in line.targets[0].elts]
                if "error_code" in names and isinstance(line.value, ast.Tuple):
                    yield each.name, line.value.elts[names.index("error_code")]


def _subclasses(of: type[Fault]) -> Iterator[type[Fault]]:
    for each in of.__subclasses__():
        yield each
        yield from _subclasses(each)

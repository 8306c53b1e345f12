"""Whether an answer is one that the document announces: each test that calls a gateway proves a piece of it."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import httpx
import jsonschema_rs
import msgspec

from services.gateway.app import Parts, build_routes
from services.gateway.documentation.document import complete

Schema: TypeAlias = dict[str, Any]
Json: TypeAlias = Any
PROBLEM, JSON = "application/problem+json", "application/json"
# What is answered before, or instead of, any operation.
WITHOUT_OPERATION = {
    400: {"bad_request", "invalid_query"},
    401: {"unauthenticated"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    413: {"payload_too_large"},
    414: {"uri_too_long"},
    429: {"rate_limited", "too_many_requests"},
    431: {"headers_too_large"},
    503: {"unavailable"},
}
NOT_DESCRIBED = ("/schema", "/metrics")


class Nothing:
    """Parts of a gateway whose routes are only looked at."""

    def __getattr__(self, name: str) -> "Nothing":
        return Nothing()


class Operation(NamedTuple):
    path: str
    method: str
    described: Schema


class ApiDocument:
    def __init__(self, document: Schema) -> None:
        self.document = document
        self._paths = [(_pattern(path), path) for path in sorted(document["paths"], key=_by_preference)]
        self._validators: dict[bytes, jsonschema_rs.Validator] = {}

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method, described in item.items():
                yield Operation(path, method, described)

    def resolved(self, found: Schema) -> Schema:
        while "$ref" in found:
            target: Any = self.document
            for part in found["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/")]
            found = target
        return found

    def operation(self, method: str, path: str) -> Operation | None:
        """Of a path with or without the prefix."""
        path = path if path.startswith("/v1/") else f"/v1{path}"
        for pattern, template in self._paths:
            described = self.document["paths"][template].get(method.lower())
            if described is not None and pattern.fullmatch(path):
                return Operation(template, method.lower(), described)
        return None

    def faults(self, method: str, path: str, status: int, headers: Mapping[str, str], body: Json) -> list[str]:
        """What is not as the document says, in sentences."""
        code = body.get("error_code") if isinstance(body, dict) and _is(headers, PROBLEM) else None
        operation = self.operation(method, path)
        if operation is None:
            is_known = code in WITHOUT_OPERATION.get(status, ())
            return [] if is_known else [f"{status} {code} of a path that the document does not have"]
        if status == 405 or (status == 404 and code == "not_found" and "//" in path):
            return []
        where = f"{method} {operation.path}"
        answer = operation.described["responses"].get(str(status))
        if answer is None:
            return [f"{where} does not announce the status {status} ({code}); see fails() and answers()"]
        answer = self.resolved(answer)
        return [f"{where} {status}: {fault}" for fault in self._of_answer(answer, headers, body)]

    def _of_answer(self, answer: Schema, headers: Mapping[str, str], body: Json) -> Iterator[str]:
        for name in self.document["components"]["headers"]:
            if name in headers and name not in answer.get("headers", {}):
                yield f"the header {name} is not announced; see sends()"
        media_type = headers.get("content-type", "").partition(";")[0]
        content = answer.get("content", {})
        if body is not None and media_type not in content:
            yield f"{media_type} is not announced"
        elif isinstance(body, dict) and media_type == PROBLEM:
            codes = content[PROBLEM]["schema"]["properties"]["error_code"]["enum"]
            if body["error_code"] not in codes:
                yield f"the code {body['error_code']} is not announced; see fails()"
        if body is not None and media_type in content:
            validator = self.validator(content[media_type]["schema"])
            yield from (f"{each.instance_path}: {each.message}"[:500] for each in validator.iter_errors(body))

    def validator(self, schema: Schema) -> jsonschema_rs.Validator:
        """Of a schema in the document, whose references lead into it."""
        key = msgspec.json.encode(schema)
        if key not in self._validators:
            whole = {**schema, "components": {"schemas": self.document["components"]["schemas"]}}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        return self._validators[key]


@lru_cache(maxsize=1)
def api_document() -> ApiDocument:
    app = build_routes(cast("Parts", Nothing()))
    return ApiDocument(complete(app, app.openapi_schema.to_schema()))


async def check_documented(answer: httpx.Response) -> None:
    """A hook of httpx: fails the test that got an answer which the document does not announce."""
    path = answer.request.url.path.rstrip("/")
    if path.startswith(NOT_DESCRIBED):
        return
    body = None
    if (_is(answer.headers, JSON) or _is(answer.headers, PROBLEM)) and answer.headers.get("content-length", "0") != "0":
        await answer.aread()
        body = answer.json()
    faults = api_document().faults(answer.request.method, path, answer.status_code, answer.headers, body)
    assert not faults, f"{answer.request.method} {path}: " + "; ".join(faults)


def _is(headers: Mapping[str, str], media_type: str) -> bool:
    return headers.get("content-type", "").startswith(media_type)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{[^{}]+\\\}", "[^/]+", re.escape(template)))


def _by_preference(template: str) -> tuple[int, str]:
    """A fixed part goes before a parameter in the same place."""
    return (template.count("{"), template)

"""One operation of the document: what the framework found of it, made whole."""

import inspect
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec

from services.gateway.documentation.errors import Errors
from services.gateway.documentation.examples import example_of_action, example_of_body
from services.gateway.documentation.following import errors_of, takes_key
from services.gateway.documentation.schemas import Schema, Schemas
from services.gateway.documentation.walk import Described
from services.gateway.http.access import Access, access_of, media_types_of
from services.gateway.http.documentation import ANSWERS, HEADERS

JSON = "application/json"
NO_BODY = frozenset({204, 304})


class Operations:
    def __init__(self, schemas: Schemas, errors: Errors, enums: Mapping[str, Schema]) -> None:
        self._schemas = schemas
        self._errors = errors
        self._enums = enums

    def completed(self, found: Schema, described: Described) -> Schema:
        """`found` is what the framework says of the operation."""
        parameters = [self._parameter(each) for each in found.get("parameters", [])]
        if takes_key(described.handler, described.method):
            parameters.append({"$ref": "#/components/parameters/Idempotency-Key"})
        if _is_conditional(described):
            parameters.append({"$ref": "#/components/parameters/If-None-Match"})
        names = [each["name"] for each in parameters if each.get("in") in ("query", "header")]
        access = access_of(described.handler)
        operation = {
            "operationId": described.name,
            "tags": found.get("tags", []),
            "summary": found.get("summary", ""),
            "description": f"{_docstring(described)}\n\n{_needs(access)}".strip(),
            **_of_access(access),
            "parameters": parameters,
            "responses": {**self._good(described), **self._bad(described, names)},
        }
        if found.get("deprecated"):
            operation["deprecated"] = True
        if described.takes is not None:
            operation["requestBody"] = self._request_body(described)
        return {key: value for key, value in operation.items() if value != [] or key == "security"}

    def _parameter(self, found: Schema) -> Schema:
        schema = {key: value for key, value in found["schema"].items() if key != "description"}
        return {
            "name": found["name"],
            "in": found["in"],
            **({"description": found["description"]} if "description" in found else {}),
            "required": found["required"],
            "schema": plain(schema, self._enums),
        }

    def _request_body(self, described: Described) -> Schema:
        content: Schema = {"schema": self._schemas.of(described.takes)}
        example = example_of_body(described.takes)
        if example is not None:
            content["examples"] = {"example": {"value": example}}
        required = not described.handler.parsed_data_field.has_default  # type: ignore[union-attr]
        return {"required": required, "content": dict.fromkeys(described.reads, content)}

    def _good(self, described: Described) -> dict[str, Schema]:
        handler = described.handler
        statuses = (handler.status_code, *handler.opt.get(ANSWERS, ()))
        made = {str(status): self._answer(described, status) for status in statuses}
        if _is_conditional(described):
            headers = self._errors.headers(304, handler, described.method)
            made["304"] = {"description": "It has not changed since.", "headers": {**headers, **_named(["ETag"])}}
        return made

    def _answer(self, described: Described, status: int) -> Schema:
        own = _named(described.handler.opt.get(HEADERS, ()))
        answer: Schema = {
            "description": HTTPStatus(status).phrase + ".",
            "headers": {**self._errors.headers(status, described.handler, described.method), **own},
        }
        if status not in NO_BODY:
            answer["content"] = self._content(described)
        return answer

    def _content(self, described: Described) -> Schema:
        if described.gives is None:
            streams = media_types_of(described.handler) or {str(described.handler.media_type)}
            return {media_type: {"schema": {"type": "string"}} for media_type in sorted(streams)}
        content: Schema = {"schema": self._schemas.of(described.gives)}
        example = example_of_action(described.name) or example_of_body(described.gives)
        if example is not None:
            content["examples"] = {"example": {"value": example}}
        return {JSON: content}

    def _bad(self, described: Described, names: list[str]) -> dict[str, Schema]:
        codes = errors_of(described.handler, described.method, described.path, names)
        answered = described.handler.opt.get(ANSWERS, ())
        return {
            str(status): self._errors.reference(status, listed, described.handler)
            for status, listed in codes.items()
            if status not in answered
        }


def plain(schema: Schema, enums: Mapping[str, Schema]) -> Schema:
    """Of a parameter: without null, which no parameter can be, and with the words of an enumeration in place."""
    if "$ref" in schema:
        named = enums[schema["$ref"].rpartition("/")[2]]
        return {key: value for key, value in (named | schema).items() if key not in ("$ref", "title")}
    choices = [each for each in schema.get("oneOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        rest = {key: value for key, value in schema.items() if key != "oneOf"}
        return plain({**choices[0], **rest}, enums)
    made: Schema = {key: _whole(value) for key, value in schema.items() if (key, value) != ("default", None)}
    for key in ("type", "enum"):
        if isinstance(made.get(key), list):
            made[key] = [each for each in made[key] if each not in (None, "null")]
    if isinstance(made.get("type"), list):
        (made["type"],) = made["type"]
    return made


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_conditional(described: Described) -> bool:
    return described.method == "GET" and "ETag" in described.handler.opt.get(HEADERS, ())


def _named(headers: Iterable[str]) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}


def _docstring(described: Described) -> str:
    return inspect.cleandoc(described.handler.fn.__doc__ or "")


def _needs(access: Access | None) -> str:
    match access:
        case Access(is_public=True):
            return "Open to all."
        case Access(scope=None) | None:
            return "Any valid token will do."
        case Access(scope=scope, takes_run_token=True):
            return f"The token that the step was given, or one with the scope `{scope}`."
        case Access(scope=scope):
            return f"Needs the scope `{scope}`."


def _of_access(access: Access | None) -> Schema:
    if access is not None and access.is_public:
        return {"security": []}
    scope = None if access is None else access.scope
    return {} if scope is None else {"x-required-scope": msgspec.to_builtins(scope)}

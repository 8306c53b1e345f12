"""The OpenAPI document: what the framework reads off the routes, completed by what it cannot know."""

from collections.abc import Mapping
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from services.gateway.documentation.error_codes import ERROR_CODES
from services.gateway.documentation.errors import RATE_LIMITS, Errors
from services.gateway.documentation.operations import Operations
from services.gateway.documentation.schemas import REFERENCE, Schema, Schemas
from services.gateway.documentation.walk import described_operations
from services.gateway.http.problems import Problem
from shared.vocabulary.limits import IDEMPOTENCY_KEY_CHARACTERS

DESCRIPTION = """\
Say what is to be done and when; the orchestrator keeps the promise and shows what happened: at-least-once execution,
exactly one recorded outcome per occurrence, and a side effect once when the receiver honours the idempotency key.

**Calling it.** Every request but those for health carries `Authorization: Bearer <token>`. Bodies are JSON in UTF-8;
unknown fields are refused. Instants have an offset from UTC and are answered in UTC. The routes answer the same without
the prefix `/v1`.

**Repeating it.** Every POST that changes something takes an `Idempotency-Key`: within 24 hours the same key with the
same body gives the same answer, with `Idempotency-Replayed: true`, and happens once. `ETag` and `If-Match` keep two
writers from overwriting one another.

**Lists** answer `items`, `total` (exact up to 10,000), `limit`, `offset`, `has_more` and `next_cursor`, which as
`cursor` gives the next page at any depth.

**Errors** have one shape, `application/problem+json`: `error_code` is stable, `detail` is a sentence that leads to the
fix, `validation_errors` names each wrong field, `request_id` is found again in the logs. What exists but belongs to
another agent is answered as what does not exist. `x-error-codes` lists every code. A method that a route does not
answer is 405 `method_not_allowed`, a path that names nothing 404 `not_found`.

**Tracing.** `traceparent` is honoured, and `X-Request-ID` is taken over and answered."""

TAGS: Mapping[str, str] = {
    "tasks": "What is to be done, when, and how carefully.",
    "runs": "What became of each occurrence.",
    "callbacks": "How the target of a step tells its run what happened.",
    "events": "Facts that tasks can wait for.",
    "inbox": "Messages for an agent that cannot be called.",
    "approvals": "Decisions that a run waits for.",
    "agents": "Who may call, with which scopes and tokens.",
    "secrets": "Values that steps use and nobody reads back.",
    "schedules": "What a schedule means, before and after it is saved.",
    "pipelines": "Steps and the tools that they use.",
    "audit": "Who changed what, and the proof that nothing was altered.",
    "health": "Whether the system works.",
}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
HEADERS: Mapping[str, tuple[str, Schema]] = {
    "X-Request-ID": ("The id of this request in the logs; the client's own, if it sent one.", {"type": "string"}),
    "RateLimit-Limit": ("How many requests the token's agent may send in the window.", _NUMBER),
    "RateLimit-Remaining": ("How many of them are left.", _NUMBER),
    "RateLimit-Reset": ("In how many seconds all of them are there again.", _NUMBER),
    "Retry-After": ("After how many seconds to ask again.", _NUMBER),
    "WWW-Authenticate": ("How to authenticate.", {"type": "string", "const": "Bearer"}),
    "Idempotency-Replayed": ("`true` when this is the stored answer to an earlier request.", {"type": "string"}),
    "ETag": ("The version of the object, for If-Match and If-None-Match.", {"type": "string"}),
    "Deduplicated": ("`true` when an earlier task stands for the one that was asked for.", {"type": "string"}),
    "Location": ("Where the new object is.", {"type": "string", "format": "uri-reference"}),
}
KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Names this change, so that asking twice does it once.",
    "required": False,
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": IDEMPOTENCY_KEY_CHARACTERS,
        "pattern": r"^[\x20-\x7e]+$",
    },
}

KNOWN: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag that is known already: 304 without a body while it is still the same.",
    "required": False,
    "schema": {"type": "string"},
}


def operation_id(handler: HTTPRouteHandler, _method: Method, _path: object) -> str:
    return handler.handler_name


def complete(app: Litestar, found: Mapping[str, Any]) -> Schema:
    """The whole document; `found` is the framework's, which is not changed."""
    described = [*described_operations(app)]
    schemas = Schemas([Problem, *(each for one in described for each in (one.takes, one.gives) if each is not None)])
    errors = Errors()
    operations = Operations(schemas, errors, found["components"]["schemas"])
    paths: dict[str, Schema] = {}
    for one in sorted(described, key=lambda each: each.path):
        method = one.method.lower()
        paths.setdefault(one.path, {})[method] = operations.completed(found["paths"][one.path][method], one)
    return {
        "openapi": found["openapi"],
        "info": {**found["info"], "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": found["security"],
        "tags": [{"name": name, "description": described_as} for name, described_as in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(_with_codes(schemas.components).items())),
            "responses": errors.responses,
            "parameters": {each["name"]: each for each in (KEY, KNOWN)},
            "headers": {name: {"description": text, "schema": schema} for name, (text, schema) in HEADERS.items()},
            "securitySchemes": found["components"]["securitySchemes"],
        },
        "x-error-codes": _codes(),
    }


def _with_codes(components: dict[str, Schema]) -> dict[str, Schema]:
    """The closed set of codes in place of any text."""
    code = {"type": "string", "enum": sorted(ERROR_CODES), "description": "Stable; x-error-codes describes each."}
    reference = {"$ref": f"{REFERENCE}ErrorCode"}
    components["Problem"]["properties"]["error_code"] = reference
    components["FieldFault"]["properties"]["code"] = reference
    return {**components, "ErrorCode": code}


def _codes() -> Schema:
    return {
        code: {"status": known.status, "meaning": known.meaning, "remedy": known.remedy}
        for code, known in sorted(ERROR_CODES.items())
    }


assert {*RATE_LIMITS} <= HEADERS.keys()  # noqa: S101 (two lists of one kind)

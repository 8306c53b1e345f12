"""`http.request`: one HTTP request to any API that the address policy permits."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from shared.expressions import Expression, ExpressionFault, check_names, compile_expression
from shared.outbound.addresses import AddressPolicy
from shared.outbound.headers import check_headers
from shared.outbound.urls import check_url
from shared.outbound.webhook_secret import parse_webhook_secret
from shared.tools.base import TEMPLATE_MARK, ToolSpec, is_open
from shared.tools.open_input import check_open_headers, check_open_url
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import Invalid, invalid_field
from shared.vocabulary.limits import CALLBACK_SECONDS_DEFAULT, RESPONSE_BODY_BYTES, TIMEOUT_SECONDS, WAIT_SECONDS
from shared.vocabulary.pipeline import StepName

REDIRECTS = 3
EXPECTED_STATUSES = 32
EXTRACTED_VALUES = 32
# To compile a character takes up to 20 µs, and an executor does nothing else meanwhile.
ANSWER_CHARACTERS = 8192
SECRETS = 2
# What expressions over an answer may read: the answer as the output shows it.
ANSWER_MEMBERS = ("status", "headers", "body", "truncated", "json")

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Status = Annotated[int, msgspec.Meta(ge=100, le=599)] | Annotated[str, msgspec.Meta(pattern=r"^[1-5]xx$")]
Secrets = Annotated[list[str], msgspec.Meta(min_length=1, max_length=SECRETS)]


class Expect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which answers are a success: the statuses (`"2xx"` is a whole class), and then, in CEL over `response`, what must
    be true. `retryable`: whether an answer with another outcome than an error of HTTP is worth another attempt."""

    status: Annotated[tuple[Status, ...], msgspec.Meta(min_length=1, max_length=EXPECTED_STATUSES)] = ("2xx",)
    when: str | None = None
    retryable: bool = False

    def lists(self, status: int) -> bool:
        return status in self.status or f"{status // 100}xx" in self.status


class AwaitCallback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=WAIT_SECONDS)]


class HttpRequestInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`json` is any JSON value, null included; `body` is text that is sent as it is: at most one of them.
    `timeout_seconds` is for all of it, redirects included. `secret` signs, two of them while they are being rotated.
    `extract` names values of the answer, each in CEL over `response`. `await_callback`: an answer 202 parks the run
    until the receiver says how it ended."""

    url: str
    method: Method | None = None
    headers: dict[str, str] = {}
    json: Any | UnsetType = UNSET
    body: str | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)] = 30.0
    secret: str | Secrets | None = None
    expect: Expect = Expect()
    extract: Annotated[dict[StepName, str], msgspec.Meta(max_length=EXTRACTED_VALUES)] = {}
    follow_redirects: Annotated[int, msgspec.Meta(ge=0, le=REDIRECTS)] = 0
    await_callback: bool | AwaitCallback = False

    @property
    def has_body(self) -> bool:
        return self.json is not UNSET or self.body is not None

    @property
    def effective_method(self) -> Method:
        return self.method or ("POST" if self.has_body else "GET")

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(_listed(self.secret))

    @property
    def callback_seconds(self) -> float | None:
        """None: nobody is going to call back."""
        if isinstance(self.await_callback, AwaitCallback):
            return self.await_callback.timeout_seconds
        return CALLBACK_SECONDS_DEFAULT if self.await_callback else None


@lru_cache(maxsize=512)
def compile_for_answer(text: str) -> Expression:
    """An expression over `response`. Raises ExpressionFault."""
    if TEMPLATE_MARK in text:
        raise ExpressionFault("This is an expression already: write it without ${ and }.")
    expression = compile_expression(text)
    check_names(expression, {"response": ANSWER_MEMBERS})
    return expression


def check_http_request(arguments: Mapping[str, object], policy: AddressPolicy, field: str) -> HttpRequestInput:
    """Reads rendered arguments, in which nothing is taken for a template any more: what looks like one came from data.
    Raises `Invalid` with the path of the first wrong value below `field`."""
    request = decode(arguments, HttpRequestInput, field)
    check_url(request.url, policy, f"{field}.url")
    check_headers(request.headers, f"{field}.headers")
    _check_one_body(has_json=request.json is not UNSET, has_body=request.body is not None, field=field)
    _check_text(request.body or "", f"{field}.body")
    for secret in request.secrets:
        _check_secret(secret, f"{field}.secret")
    _check_expressions(request.expect.when, request.extract, field)
    return request


def check_open_request(arguments: Mapping[str, Any], policy: AddressPolicy, field: str) -> None:
    """The same as far as it is known when a task is written; the form has been checked."""
    check_open_url(arguments.get("url"), policy, f"{field}.url")
    check_open_headers(arguments.get("headers"), f"{field}.headers")
    body = arguments.get("body")
    _check_one_body(has_json="json" in arguments, has_body=body is not None, field=field)
    _check_text("" if body is None or is_open(body) else body, f"{field}.body")
    for secret in _listed(arguments.get("secret")):
        if not is_open(secret):
            _check_secret(secret, f"{field}.secret")
    expect, extract = arguments.get("expect"), arguments.get("extract")
    when = expect.get("when") if isinstance(expect, Mapping) else None
    _check_expressions(when, extract if isinstance(extract, Mapping) else {}, field)


def answer_expressions(arguments: Mapping[str, Any]) -> Iterator[str]:
    """What would be compiled, whether its form is right or not."""
    expect, extract = arguments.get("expect"), arguments.get("extract")
    given = [expect.get("when") if isinstance(expect, Mapping) else None]
    given += extract.values() if isinstance(extract, Mapping) else ()
    yield from (text for text in given if isinstance(text, str))


def _check_one_body(*, has_json: bool, has_body: bool, field: str) -> None:
    if has_json and has_body:
        raise invalid_field(f"{field}.body", "Give either json or body, not both.", "invalid_body")


def _check_text(text: str, field: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "The body holds half of a surrogate pair, which no encoding can carry."
        raise invalid_field(field, message, "invalid_character") from None


def _check_secret(text: str, field: str) -> None:
    try:
        parse_webhook_secret(text)
    except ValueError as error:
        raise invalid_field(field, str(error), "invalid_secret") from None


def _check_expressions(when: str | None, extract: Mapping[str, str], field: str) -> None:
    if sum(map(len, [when or "", *extract.values()])) > ANSWER_CHARACTERS:
        message = f"expect.when and the values of extract have together at most {ANSWER_CHARACTERS} characters."
        raise invalid_field(f"{field}.extract", message, "too_long")
    if when is not None:
        _check_expression(when, f"{field}.expect.when")
    for name, text in extract.items():
        _check_expression(text, f"{field}.extract.{name}")


def _check_expression(text: str, field: str) -> None:
    try:
        compile_for_answer(text)
    except ExpressionFault as fault:
        raise _invalid_expression(fault, field) from None


def _invalid_expression(fault: ExpressionFault, field: str) -> Invalid:
    return invalid_field(field, fault.message, "invalid_pipeline", position=fault.position)


def _listed(secret: str | list[str] | None) -> list[str]:
    match secret:
        case None:
            return []
        case str():
            return [secret]
        case _:
            return secret


HTTP_REQUEST = ToolSpec(
    name="http.request",
    summary="Send an HTTP request.",
    description="Sends one request, with `Idempotency-Key` the same for every attempt. The body of the answer is kept "
    f"up to {RESPONSE_BODY_BYTES // 1024} KiB. A success is a status that `expect.status` lists (2xx, unless said "
    "otherwise) and for which `expect.when` is true. Refusals 408, 409, 425, 429 and 5xx are tried again, after "
    "Retry-After when it is given. With `secret` the request is signed as Standard Webhooks says. Redirects are "
    "followed when `follow_redirects` asks for it. With `await_callback` an answer 202 parks the run until the "
    "receiver completes the step by `POST /v1/runs/{id}/complete` with the token of the header `PAO-Callback-Token`.",
    input=HttpRequestInput,
    output={
        "type": "object",
        "properties": {
            "status": {"type": "integer"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "body": {"type": "string"},
            "truncated": {"type": "boolean"},
            "json": {"description": "There when the answer says that it is JSON and is so."},
            "extracted": {"type": "object", "description": "There when `extract` was given."},
        },
        "required": ["status", "headers", "body", "truncated"],
    },
    example={
        "id": "order",
        "uses": "http.request",
        "with": {
            "url": "https://api.example.com/orders",
            "json": {"item": "${params.item}", "count": 1},
            "headers": {"Authorization": "Bearer ${secrets.shop_token}"},
            "expect": {"status": [200, 201], "when": "response.json.state != 'rejected'"},
            "extract": {"order_id": "response.json.id"},
        },
    },
    check=check_open_request,
    takes_secrets=True,
    can_wait=True,
)

"""What is sent for an `http.request`, and where: at first, and after each redirect."""

from datetime import datetime
from urllib.parse import urljoin

import msgspec

from services.executor.tools.answer import Answer
from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.http_outcome import forbidden_destination
from services.executor.tools.signing import signature_headers
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import Origin, check_url, origin_of
from shared.tools.http_request import HttpRequestInput
from shared.vocabulary.faults import Invalid
from shared.vocabulary.states import ErrorClass

MAX_REQUEST_BYTES = 1024 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What another origin may see of the user's headers. Everything else can be a credential: an API key has many names.
HARMLESS_NAMES = frozenset({"accept", "accept-language", "content-language", "content-type", "user-agent"})


class Outgoing(msgspec.Struct, frozen=True):
    """One request. `is_at_home`: it goes to the origin that the task names, for which credentials, signature and
    callback token are meant."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    is_at_home: bool = True

    @property
    def origin(self) -> Origin:
        return origin_of(self.url)

    def all_headers(self, request: HttpRequestInput, context: StepContext, now: datetime) -> dict[str, str]:
        """With those that the service sets; `now` is the time of signing."""
        headers = {**self.headers, "Idempotency-Key": context.idempotency_key}
        if context.traceparent is not None:
            headers["traceparent"] = context.traceparent
        if request.secrets and self.is_at_home:
            headers |= signature_headers(request.secrets, context.idempotency_key, now, self.body or b"")
        return headers


def first_request(request: HttpRequestInput, callback_headers: dict[str, str]) -> Outgoing:
    """Raises ToolFault."""
    headers = {**request.headers, **callback_headers}
    if request.has_body and not any(name.lower() == "content-type" for name in request.headers):
        headers["Content-Type"] = "text/plain; charset=utf-8" if request.body is not None else "application/json"
    return Outgoing(request.effective_method, request.url, headers, _body(request))


def callback_headers(context: StepContext, public_url: str | None) -> dict[str, str]:
    """How the receiver can say later what became of the request. Whoever holds the token speaks for the step."""
    headers = {
        "PAO-Run-Id": str(context.run_id),
        "PAO-Step-Id": context.step_id,
        "PAO-Callback-Token": context.callback_token,
    }
    if public_url is not None:
        headers["PAO-Callback-Url"] = f"{public_url.rstrip('/')}/v1/runs/{context.run_id}"
    return headers


def place_of(answer: Answer) -> str | None:
    """Where the receiver sends us, if it does."""
    return answer.headers.get("location") if answer.status in REDIRECTS else None


def redirected(sent: Outgoing, status: int, place: str, policy: AddressPolicy, *, has_token: bool) -> Outgoing:
    """The request that follows a redirect (RFC 9110 section 15.4), checked as the first one was. Raises ToolFault."""
    url = _target(sent.url, place, policy)
    origin = origin_of(url)
    if sent.origin.scheme == "https" and origin.scheme != "https":
        raise _not_followed("it leads from https to http")
    becomes_get = (status == 303 and sent.method != "HEAD") or (status in (301, 302) and sent.method == "POST")
    is_at_home = sent.is_at_home and origin == sent.origin
    if has_token and not is_at_home:
        raise _not_followed("it leads to another origin, for which the callback token is not meant")
    headers = sent.headers if is_at_home else _harmless(sent.headers)
    if becomes_get:
        bare = {name: value for name, value in headers.items() if not name.lower().startswith("content-")}
        return Outgoing("GET", url, bare, None, is_at_home)
    return Outgoing(sent.method, url, headers, sent.body, is_at_home)


def _target(base: str, place: str, policy: AddressPolicy) -> str:
    try:
        url = urljoin(base, place).partition("#")[0]
        check_url(url, policy, "location")
    except Invalid as refusal:
        if refusal.error_code == "destination_forbidden":
            raise forbidden_destination() from None
        raise _not_followed("the place that it names is not a URL that can be called") from None
    except ValueError:
        raise _not_followed("the place that it names is not a URL") from None
    return url


def _harmless(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in HARMLESS_NAMES}


def _not_followed(reason: str) -> ToolFault:
    return ToolFault(ErrorClass.TOOL, f"The receiver's redirect is not followed: {reason}.")


def _body(request: HttpRequestInput) -> bytes | None:
    if not request.has_body:
        return None
    try:
        body = msgspec.json.encode(request.json) if request.body is None else request.body.encode()
    except (TypeError, ValueError):
        raise ToolFault(ErrorClass.TOOL, "with.json: This cannot be written as JSON.") from None
    if len(body) > MAX_REQUEST_BYTES:
        raise ToolFault(ErrorClass.TOOL, f"The request body is longer than {MAX_REQUEST_BYTES} bytes.")
    return body

"""What is known of a request beside its content: its ids, its place in a trace, and who sent it."""

from typing import Any, TypeAlias

from litestar.connection import Request
from litestar.types import Scope
from opentelemetry.trace import Span

from services.gateway.auth.wire import Identity
from services.gateway.limits.account import Standing
from shared.telemetry.tracing import trace_id_of, traceparent_of
from shared.vocabulary.faults import Fault
from shared.vocabulary.run_token import RunToken

AnyRequest: TypeAlias = Request[Any, Any, Any]

KEY = "trail"


class Trail:
    """`caller` is the agent, or why it is not known: routes that are open to all do not mind. `run_token`: for which
    step of a run the request speaks, which is nobody on most routes. `standing`: with the limit that concerns the
    request most."""

    run_token: RunToken | None = None
    standing: Standing | None = None

    def __init__(self, request_id: str, span: Span, caller: Identity | Fault) -> None:
        self.request_id = request_id
        self.span = span
        self.caller = caller

    @property
    def identity(self) -> Identity:
        if isinstance(self.caller, Fault):
            raise self.caller
        return self.caller

    @property
    def refusal(self) -> Fault | None:
        return self.caller if isinstance(self.caller, Fault) else None

    @property
    def traceparent(self) -> str | None:
        return traceparent_of(self.span)

    @property
    def trace_id(self) -> str | None:
        return trace_id_of(self.span)


def trail_of(scope: Scope) -> Trail:
    trail: Trail = scope["state"][KEY]
    return trail


def set_trail(scope: Scope, trail: Trail) -> None:
    scope.setdefault("state", {})[KEY] = trail

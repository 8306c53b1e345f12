"""Puts the gateway's routes together."""

from typing import Any, TypeAlias

import msgspec
from litestar import Controller, Litestar, Router
from litestar.connection import ASGIConnection, Request
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ControllerRouterHandler
from opentelemetry.trace import Tracer

from services.gateway.agents.controller import AgentController
from services.gateway.agents.service import AgentService
from services.gateway.approvals.controller import ApprovalController
from services.gateway.approvals.service import ApprovalService
from services.gateway.auth.service import Authenticator
from services.gateway.clock import DatabaseClock
from services.gateway.database import Database
from services.gateway.events.controller import EventController
from services.gateway.events.service import EventService
from services.gateway.health.controller import HealthController
from services.gateway.health.service import HealthService
from services.gateway.http.access import public
from services.gateway.http.act import Act
from services.gateway.http.admission import StrictRequest, admit
from services.gateway.http.edge import Edge
from services.gateway.http.faults import no_such_route
from services.gateway.http.paging import Cursors
from services.gateway.http.problems import render_error
from services.gateway.inbox.controller import InboxController
from services.gateway.inbox.service import InboxService
from services.gateway.inbox.stream import InboxStreams
from services.gateway.inbox.waiters import Waiters
from services.gateway.pipelines.controller import PipelineController, ToolController
from services.gateway.pipelines.service import PipelineService
from services.gateway.replica import Readers
from services.gateway.runs.actions import RunActions
from services.gateway.runs.callbacks import Callbacks
from services.gateway.runs.callbacks_controller import CallbackController
from services.gateway.runs.controller import RunController
from services.gateway.runs.service import RunService
from services.gateway.schedules.controller import OutlookController, ScheduleController
from services.gateway.schedules.service import ScheduleService
from services.gateway.secrets.controller import SecretController
from services.gateway.secrets.echoes import Echoes
from services.gateway.secrets.service import SecretService
from services.gateway.tasks.actions import TaskActions
from services.gateway.tasks.controller import TaskController
from services.gateway.tasks.occurrences import OccurrenceActions
from services.gateway.tasks.service import TaskService
from shared.events.announcer import Announcer
from shared.outbound.addresses import AddressPolicy
from shared.runtime.bells import Bells
from shared.runtime.heartbeat import VERSION
from shared.secrets.ring import KeyRing
from shared.vocabulary.limits import REQUEST_BODY_BYTES

CONTROLLERS: list[type[Controller]] = [
    TaskController,
    RunController,
    CallbackController,
    InboxController,
    ApprovalController,
    EventController,
    AgentController,
    SecretController,
    ScheduleController,
    OutlookController,
    PipelineController,
    ToolController,
    HealthController,
]
Dependencies: TypeAlias = dict[str, Provide]


class Parts(msgspec.Struct, frozen=True):
    """What the routes work with."""

    database: Database
    readers: Readers
    cursors: Cursors
    authenticator: Authenticator
    bells: Bells
    announcer: Announcer
    waiters: Waiters
    clock: DatabaseClock
    health: HealthService
    policy: AddressPolicy
    ring: KeyRing | None
    tracer: Tracer


def build_app(parts: Parts) -> Edge:
    return Edge(build_routes(parts), parts.authenticator, parts.tracer)


def build_routes(parts: Parts) -> Litestar:
    """Every route twice: below `/v1`, which the schema describes, and without a prefix."""
    handlers: list[ControllerRouterHandler] = [
        Router("/v1", route_handlers=CONTROLLERS),
        Router("/", route_handlers=CONTROLLERS, include_in_schema=False),
    ]
    return Litestar(
        handlers,
        dependencies=_dependencies(parts),
        guards=[admit],
        request_class=StrictRequest,
        exception_handlers={Exception: render_error},
        request_max_body_size=REQUEST_BODY_BYTES,
        openapi_config=_openapi(),
        logging_config=None,
    )


def _dependencies(parts: Parts) -> Dependencies:
    echoes = Echoes(parts.ring)
    inbox = InboxService(parts.database, parts.waiters, parts.bells, echoes)
    services: dict[str, object] = {
        "tasks": TaskService(parts.clock, parts.policy),
        "actions": TaskActions(),
        "occurrences": OccurrenceActions(),
        "events": EventService(parts.clock, parts.announcer),
        "inbox": inbox,
        "streams": InboxStreams(inbox, parts.authenticator),
        "approvals": ApprovalService(),
        "runs": RunService(),
        "run_actions": RunActions(),
        "callbacks": Callbacks(echoes),
        "schedules": ScheduleService(parts.clock),
        "pipelines": PipelineService(parts.clock, parts.policy),
        "agents": AgentService(parts.authenticator, parts.clock, parts.policy),
        "secrets": SecretService(parts.ring),
        "health": parts.health,
    }

    def act(request: Request[Any, Any, Any]) -> Act:
        return Act(request, parts.database, parts.readers, parts.cursors, parts.bells)

    provided = {name: _always(service) for name, service in services.items()}
    return {"act": Provide(act, sync_to_thread=False), **provided}


def _always(service: object) -> Provide:
    def provide() -> object:
        return service

    return Provide(provide, sync_to_thread=False)


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Personal Agent Orchestrator",
        version=VERSION,
        description="Say what is to be done and when; the orchestrator keeps the promise and shows what happened.",
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"token": []}],
        # Documents without a page: one that needs no network is part of the full API.
        render_plugins=[JsonRenderPlugin(path=["/", "/openapi.json"])],
        openapi_router=Router(
            "/schema", route_handlers=[], opt=public(), guards=[_refuse_unknown_document], include_in_schema=False
        ),
    )


def _refuse_unknown_document(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """The framework would answer with a page of its own; errors have one shape here."""
    if "path" in connection.path_params:
        raise no_such_route()

"""Puts the gateway's routes together."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from litestar import Controller, Litestar, Router
from litestar.connection import Request
from litestar.di import NamedDependency, Provide
from litestar.types import ControllerRouterHandler
from opentelemetry.trace import Tracer

from services.gateway.agents.controller import AgentController
from services.gateway.agents.leaving import AgentLeaving
from services.gateway.agents.service import AgentService
from services.gateway.approvals.controller import ApprovalController
from services.gateway.approvals.service import ApprovalService
from services.gateway.audit.controller import AuditController
from services.gateway.audit.service import AuditService
from services.gateway.auth.service import Authenticator
from services.gateway.clock import DatabaseClock
from services.gateway.database import Database
from services.gateway.documentation.serving import openapi_config
from services.gateway.events.controller import EventController
from services.gateway.events.recent import RecentEvents
from services.gateway.events.replaying import Replaying
from services.gateway.events.service import EventService
from services.gateway.events.topics import TopicService
from services.gateway.health.controller import HealthController, ModuleHealthController
from services.gateway.health.service import HealthService
from services.gateway.http.act import Act
from services.gateway.http.admission import StrictRequest, admit
from services.gateway.http.deprecation import mark_deprecated
from services.gateway.http.edge import Edge, Gate
from services.gateway.http.paging import Cursors
from services.gateway.http.problems import render_error
from services.gateway.inbox.controller import InboxController
from services.gateway.inbox.service import InboxService
from services.gateway.inbox.stream import InboxStreams
from services.gateway.inbox.waiters import Waiters
from services.gateway.live.controller import EventStreamController, RunStreamController
from services.gateway.live.service import LiveService
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
from services.gateway.statistics.controller import StatisticsController
from services.gateway.statistics.service import StatisticsService
from services.gateway.tasks.actions import TaskActions
from services.gateway.tasks.batches import TaskBatches
from services.gateway.tasks.bulk import BulkActions
from services.gateway.tasks.controller import TaskController
from services.gateway.tasks.many_controller import ManyTasksController
from services.gateway.tasks.occurrences import OccurrenceActions
from services.gateway.tasks.outcome import RunOutcomes
from services.gateway.tasks.service import TaskService
from services.gateway.tokens.controller import TokenController
from services.gateway.tokens.service import TokenService
from shared.events.announcer import Announcer
from shared.outbound.addresses import AddressPolicy
from shared.runtime.bells import Bells
from shared.runtime.run_updates import RunUpdates
from shared.secrets.ring import KeyRing
from shared.vocabulary.limits import REQUEST_BODY_BYTES

CONTROLLERS: list[type[Controller]] = [
    TaskController,
    ManyTasksController,
    RunController,
    RunStreamController,
    StatisticsController,
    CallbackController,
    InboxController,
    ApprovalController,
    EventController,
    EventStreamController,
    AgentController,
    TokenController,
    AuditController,
    SecretController,
    ScheduleController,
    OutlookController,
    PipelineController,
    ToolController,
    HealthController,
    ModuleHealthController,
]
Versions: TypeAlias = Mapping[str, list[type[Controller]]]
# A route that changes gets a controller of its own in the next version; the others stand in both.
VERSIONS: Versions = {"v1": CONTROLLERS}
USUAL = "v1"
Dependencies: TypeAlias = dict[str, Provide]


class Parts(msgspec.Struct, frozen=True):
    """What the routes work with."""

    database: Database
    readers: Readers
    cursors: Cursors
    authenticator: Authenticator
    gate: Gate
    bells: Bells
    announcer: Announcer
    waiters: Waiters
    live: LiveService
    run_updates: RunUpdates
    clock: DatabaseClock
    health: HealthService
    policy: AddressPolicy
    ring: KeyRing | None
    tracer: Tracer


def build_app(parts: Parts, versions: Versions = VERSIONS) -> Edge:
    return Edge(build_routes(parts, versions), parts.gate, parts.tracer)


def build_routes(parts: Parts, versions: Versions = VERSIONS) -> Litestar:
    """Every route below its version; those of the usual one, which the document describes, also without a prefix."""
    handlers: list[ControllerRouterHandler] = [
        Router(f"/{version}", route_handlers=controllers, include_in_schema=version == USUAL)
        for version, controllers in versions.items()
    ]
    handlers.append(Router("/", route_handlers=versions[USUAL], include_in_schema=False))
    app = Litestar(
        handlers,
        dependencies=_dependencies(parts),
        guards=[admit],
        request_class=StrictRequest,
        exception_handlers={Exception: render_error},
        request_max_body_size=REQUEST_BODY_BYTES,
        openapi_config=openapi_config(),
        logging_config=None,
    )
    mark_deprecated(app.routes)
    return app


def _dependencies(parts: Parts) -> Dependencies:
    echoes = Echoes(parts.ring)
    inbox = InboxService(parts.database, parts.waiters, parts.bells, echoes)
    services: dict[str, object] = {
        "tasks": TaskService(parts.clock, parts.policy),
        "batches": TaskBatches(parts.clock, parts.policy),
        "actions": TaskActions(),
        "bulk": BulkActions(TaskActions()),
        "outcomes": RunOutcomes(parts.live),
        "occurrences": OccurrenceActions(),
        "events": EventService(parts.clock, parts.announcer),
        "topics": TopicService(parts.clock),
        "recent": RecentEvents(parts.clock, parts.announcer),
        "replays": Replaying(),
        "inbox": inbox,
        "streams": InboxStreams(inbox, parts.authenticator),
        "live": parts.live,
        "approvals": ApprovalService(),
        "runs": RunService(),
        "run_actions": RunActions(),
        "statistics": StatisticsService(parts.clock),
        "callbacks": Callbacks(echoes),
        "schedules": ScheduleService(parts.clock),
        "pipelines": PipelineService(parts.clock, parts.policy),
        "agents": AgentService(parts.authenticator, parts.clock, parts.policy, parts.gate.limits),
        "leaving": AgentLeaving(parts.authenticator),
        "tokens": TokenService(parts.authenticator, parts.clock),
        "audit": AuditService(),
        "secrets": SecretService(parts.ring),
        "health": parts.health,
    }

    def act(request: Request[Any, Any, Any]) -> Act:
        return Act(
            request,
            parts.database,
            parts.readers,
            parts.cursors,
            parts.bells,
            limits=parts.gate.limits,
            run_updates=parts.run_updates,
        )

    provided = {name: _always(service) for name, service in services.items()}
    return {"act": Provide(act, sync_to_thread=False), **provided}


def _always(service: object) -> Provide:
    def provide(act: NamedDependency[Act]) -> object:  # noqa: ARG001
        # One after the other: beside each other, the framework would give each dependency a task of its own, which
        # takes as long as all else that it does for a request.
        return service

    return Provide(provide, sync_to_thread=False)

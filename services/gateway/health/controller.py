"""`/health`, and the health of each part of the API: open to all, for probes."""

from typing import TypeAlias

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from services.gateway.auth.wire import Identity
from services.gateway.health.service import HealthService
from services.gateway.health.wire import Alive, Check, Health, ModuleHealth
from services.gateway.http.access import public
from services.gateway.http.documentation import answers
from services.gateway.http.trail import AnyRequest, trail_of

AGAIN = {"Retry-After": "1"}
Monitor: TypeAlias = NamedDependency[HealthService]


class HealthController(Controller):
    path = "/health"
    tags = ("health",)
    opt = public()

    @get(summary="Whether the whole system works; with details for admins", opt=public() | answers(503))
    async def show_health(self, request: AnyRequest, health: Monitor) -> Response[Health]:
        """503 when a check failed. A check that is degraded says that the system works, though later: without Redis
        everything happens within a second of its time. Details are the versions and the last signs of life of all
        processes, and how long the oldest work has been waiting."""
        caller = trail_of(request.scope).caller
        return _answer(await health.health(with_details=isinstance(caller, Identity) and caller.is_admin))

    @get("/live", summary="Whether this process lives")
    async def show_liveness(self) -> Alive:
        """Asks no store: a process that answers is not to be restarted because of what is down elsewhere."""
        return Alive()

    @get("/ready", summary="Whether the whole system works", opt=public() | answers(503))
    async def show_readiness(self, health: Monitor) -> Response[Health]:
        """200 when the database can be used at the revision of this code, the scheduler and an executor show signs of
        life, and no due work has been waiting for longer than the limit; otherwise 503."""
        return _answer(await health.health())


class ModuleHealthController(Controller):
    """Beside the routes of each part."""

    path = "/"
    tags = ("health",)
    opt = public() | answers(503)

    @get("/tasks/health", summary="Whether tasks can be changed and their schedules are kept")
    async def show_health_of_tasks(self, health: Monitor) -> Response[ModuleHealth]:
        """Of the checks of `/health`, those on which tasks stand. 503 when one failed."""
        return _answer_of_module(await health.module("tasks"))

    @get("/runs/health", summary="Whether due work is being executed")
    async def show_health_of_runs(self, health: Monitor) -> Response[ModuleHealth]:
        """Of the checks of `/health`, those on which runs stand. 503 when one failed."""
        return _answer_of_module(await health.module("runs"))

    @get("/events/health", summary="Whether events can be published and are relayed")
    async def show_health_of_events(self, health: Monitor) -> Response[ModuleHealth]:
        """Of the checks of `/health`, those on which events stand. 503 when one failed."""
        return _answer_of_module(await health.module("events"))

    @get("/agents/health", summary="Whether agents can be told apart and changed")
    async def show_health_of_agents(self, health: Monitor) -> Response[ModuleHealth]:
        """Of the checks of `/health`, those on which agents stand. 503 when one failed."""
        return _answer_of_module(await health.module("agents"))


def _answer_of_module(health: ModuleHealth) -> Response[ModuleHealth]:
    is_ready = Check.FAILED not in health.checks.values()
    return Response(health) if is_ready else Response(health, status_code=503, headers=AGAIN)


def _answer(health: Health) -> Response[Health]:
    if health.checks.is_ready:
        return Response(health)
    return Response(health, status_code=503, headers=AGAIN)

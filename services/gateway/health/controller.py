"""`/health`: open to all, for probes."""

from typing import TypeAlias

from litestar import Controller, Response, get
from litestar.di import NamedDependency

from services.gateway.auth.wire import Identity
from services.gateway.health.service import HealthService
from services.gateway.health.wire import Alive, Health
from services.gateway.http.access import public
from services.gateway.http.trail import AnyRequest, trail_of

Monitor: TypeAlias = NamedDependency[HealthService]


class HealthController(Controller):
    path = "/health"
    tags = ("health",)
    opt = public()

    @get(summary="Whether the whole system works; with details for admins")
    async def show_health(self, request: AnyRequest, health: Monitor) -> Response[Health]:
        caller = trail_of(request.scope).caller
        return _answer(await health.health(with_details=isinstance(caller, Identity) and caller.is_admin))

    @get("/live", summary="Whether this process lives")
    async def show_liveness(self) -> Alive:
        return Alive()

    @get("/ready", summary="Whether the whole system works")
    async def show_readiness(self, health: Monitor) -> Response[Health]:
        return _answer(await health.health())


def _answer(health: Health) -> Response[Health]:
    if health.checks.is_ready:
        return Response(health)
    return Response(health, status_code=503, headers={"Retry-After": "1"})

"""`/schedules`, and what `/tasks/{id}` has ahead and behind it."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import looks_only
from services.gateway.schedules.service import ScheduleService
from services.gateway.schedules.wire import Explanation, PreviewRequest, Previews, Upcoming
from shared.vocabulary.limits import OCCURRENCES_SHOWN, OCCURRENCES_SHOWN_DEFAULT
from shared.vocabulary.scopes import Scope

Schedules: TypeAlias = NamedDependency[ScheduleService]
EACH_SIDE_MAX, EACH_SIDE_DEFAULT = 50, 5
Count: TypeAlias = Annotated[int, QueryParameter(ge=1, le=OCCURRENCES_SHOWN, description="How many items at most.")]
EachSide: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=EACH_SIDE_MAX, description="How many occurrences up to that time, and after it.")
]
READ = requires(Scope.TASKS_READ)


class ScheduleController(Controller):
    path = "/schedules"
    tags = ("schedules",)

    @post("/preview", opt=READ | looks_only(), status_code=200, summary="See schedules before they are saved")
    async def preview_schedules(
        self, act: CurrentAct, schedules: Schedules, data: JSONBody[PreviewRequest]
    ) -> Previews:
        """Each is judged by itself: its next occurrences, a description in words, warnings, or why it would be refused.
        Nothing is saved."""
        return await schedules.preview(act.caller, data)


class OutlookController(Controller):
    path = "/tasks/{task_id:uuid}"
    tags = ("schedules",)

    @get("/upcoming", opt=READ, summary="Show the next occurrences of a task")
    async def list_upcoming(
        self,
        act: CurrentAct,
        schedules: Schedules,
        task_id: FromPath[UUID],
        limit: Count = OCCURRENCES_SHOWN_DEFAULT,
    ) -> Upcoming:
        """Those in the queue and those that will be put there, with what is skipped."""
        return await schedules.upcoming(act, task_id, limit)

    @get("/explain", opt=READ, summary="Explain why a task did, or did not, run around a time")
    async def explain_task(
        self,
        act: CurrentAct,
        schedules: Schedules,
        task_id: FromPath[UUID],
        at: FromQuery[datetime | None] = None,
        limit: EachSide = EACH_SIDE_DEFAULT,
    ) -> Explanation:
        """Each nominal time around `at`, what became of it, and by which rule."""
        return await schedules.explain(act, task_id, at, limit)

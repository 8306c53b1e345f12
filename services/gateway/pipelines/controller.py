"""`/pipelines` and `/tools`."""

from typing import TypeAlias

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.gateway.http.access import any_agent, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import OF_PIPELINES, fails, looks_only
from services.gateway.pipelines.service import PipelineService
from services.gateway.pipelines.wire import PipelineDraft, Rehearsed, ToolList, ToolView
from shared.vocabulary.pipeline import Parallel, Step
from shared.vocabulary.scopes import Scope

Pipelines: TypeAlias = NamedDependency[PipelineService]


class PipelineController(Controller):
    path = "/pipelines"
    tags = ("pipelines",)

    @post(
        "/validate",
        opt=requires(Scope.TASKS_WRITE) | fails(*OF_PIPELINES) | looks_only(),
        status_code=200,
        summary="See a pipeline before it is saved",
    )
    async def validate_pipeline(
        self, act: CurrentAct, pipelines: Pipelines, data: JSONBody[PipelineDraft]
    ) -> Rehearsed:
        """Each step with the samples in it, or every fault with its path. Runs nothing, connects nowhere, looks
        nothing up."""
        return await pipelines.rehearse(act.caller, data)


STEP_SCHEMA, GROUP_SCHEMA = msgspec.json.schema(Step), msgspec.json.schema(Parallel)


class ToolController(Controller):
    path = "/tools"
    tags = ("pipelines",)

    @get(opt=any_agent(), summary="List the tools that steps can use")
    async def list_tools(self, pipelines: Pipelines) -> ToolList:
        """With the schemas of what they take and give, and an example of each."""
        return ToolList(pipelines.tools(), STEP_SCHEMA, GROUP_SCHEMA)

    @get("/{name:str}", opt=any_agent(), summary="Show a tool")
    async def get_tool(self, pipelines: Pipelines, name: FromPath[str]) -> ToolView:
        """With the schemas of what it takes and gives, and an example."""
        return pipelines.tool(name)

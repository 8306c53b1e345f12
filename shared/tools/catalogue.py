"""All tools, by the name that steps use."""

from collections.abc import Mapping
from types import MappingProxyType

from shared.tools.agent_deliver import AGENT_DELIVER
from shared.tools.approval_request import APPROVAL_REQUEST
from shared.tools.base import ToolSpec
from shared.tools.event_publish import EVENT_PUBLISH
from shared.tools.http_request import HTTP_REQUEST
from shared.tools.mcp_call import MCP_CALL
from shared.tools.sleep import SLEEP
from shared.tools.task_create import TASK_CREATE
from shared.tools.task_run_now import TASK_RUN_NOW
from shared.tools.transform import TRANSFORM

CATALOGUE: Mapping[str, ToolSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            AGENT_DELIVER,
            APPROVAL_REQUEST,
            EVENT_PUBLISH,
            HTTP_REQUEST,
            MCP_CALL,
            SLEEP,
            TASK_CREATE,
            TASK_RUN_NOW,
            TRANSFORM,
        )
    }
)

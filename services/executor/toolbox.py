"""Builds the tools that this executor offers."""

import asyncpg
from redis.asyncio import Redis

from services.executor.settings import ExecutorSettings
from services.executor.tools.agent_deliver import AgentDeliver
from services.executor.tools.approval_request import ApprovalRequest
from services.executor.tools.event_publish import EventPublish
from services.executor.tools.http_request import HttpRequest
from services.executor.tools.mcp_call import McpCall
from services.executor.tools.registry import Toolbox
from services.executor.tools.sleep import Sleep
from services.executor.tools.task_create import TaskCreation
from services.executor.tools.task_run_now import TaskRunNow
from services.executor.tools.transform import Transform
from shared.events.announcer import Announcer
from shared.runtime.bells import Bells
from shared.runtime.settings import parse_policy


def build_toolbox(
    settings: ExecutorSettings, pool: asyncpg.Pool, redis: Redis, announcer: Announcer, bells: Bells
) -> Toolbox:
    policy = parse_policy(settings.outbound_allow)
    return Toolbox(
        [
            AgentDeliver(pool, redis),
            ApprovalRequest(pool),
            EventPublish(pool, announcer, bells),
            HttpRequest(policy, connections=settings.max_jobs, public_url=settings.public_url),
            McpCall(policy, connections=settings.max_jobs),
            Sleep(),
            TaskCreation(pool, bells, policy),
            TaskRunNow(pool, bells),
            Transform(),
        ]
    )

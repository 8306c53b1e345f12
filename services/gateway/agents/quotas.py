"""Whether an agent may begin more runs today: asked before work is made by hand. For the rest the claim decides."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.repository import SQL
from services.gateway.database import run
from shared.vocabulary.faults import Forbidden


async def check_runs_left(connection: AsyncConnection, agent_id: UUID) -> None:
    """Raises Forbidden for an agent that has begun as many runs today (UTC) as it may."""
    for row in await run(connection, SQL["find_spent_day"], agent_id):
        allowed = row["runs_per_day"]
        message = f"The task's agent may begin {allowed} runs per day, and has begun them. The next day is that of UTC."
        raise Forbidden(message, error_code="quota_exceeded")

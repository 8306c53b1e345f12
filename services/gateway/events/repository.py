"""What publishing asks of the database beside `shared.events`."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.models import Agent
from shared.vocabulary.states import AgentStatus


async def is_active_agent(connection: AsyncConnection, agent_id: UUID) -> bool:
    query = select(Agent.id).where(Agent.id == agent_id, Agent.status == AgentStatus.ACTIVE)
    return await connection.scalar(query) is not None

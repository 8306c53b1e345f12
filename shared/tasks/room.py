"""Whether an agent may have more active tasks: asked inside the transaction that adds them."""

from uuid import UUID

from shared.database.asking import Ask
from shared.tasks.creating import SQL
from shared.tasks.quotas import most_active_tasks
from shared.vocabulary.faults import Forbidden, Unauthenticated


async def hold_agent(ask: Ask, agent_id: UUID) -> int:
    """How many active tasks it may have. From here on to the end of the transaction nobody else adds any. Before a task
    is locked, as everywhere: so nobody waits in a circle. Raises Unauthenticated for an agent that was deleted
    meanwhile."""
    for row in await ask(SQL["hold_agent"], agent_id):
        return most_active_tasks(row["active_tasks"])
    raise Unauthenticated("The agent was deleted.")


async def check_room(ask: Ask, agent_id: UUID, added: int = 1) -> None:
    """Raises Forbidden. Nobody else adds tasks of this agent meanwhile."""
    most = await hold_agent(ask, agent_id)
    (active,) = await ask(SQL["count_active_tasks"], agent_id, most)
    if active["tasks"] + added > most:
        more = "no more" if added == 1 else f"not {added} more"
        message = f"The agent has {active['tasks']} active tasks of the {most} that it may have, and may have {more}."
        raise Forbidden(message, error_code="quota_exceeded")

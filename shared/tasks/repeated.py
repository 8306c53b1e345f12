"""Tasks that exist already: those of the same agent with the same dedupe_key."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from shared.database.asking import Ask
from shared.tasks.creating import SQL
from shared.tasks.wanted import TaskCreate


async def hold_keys(ask: Ask, owner_id: UUID, keys: Iterable[str]) -> None:
    """Until the transaction ends nobody else asks for tasks with these keys. Before the agent's row and those of tasks
    are locked, as everywhere: so nobody waits in a circle."""
    await ask(SQL["hold_keys"], [f"dedupe {owner_id} {key}" for key in keys])


async def find_recent(ask: Ask, owner_id: UUID, wanted: Iterable[TaskCreate]) -> Mapping[str, UUID]:
    """Of those that have a dedupe_window_seconds: the task that stands for each key within its window, whatever became
    of that task. Nobody else creates one meanwhile."""
    windows = {task.dedupe_key: task.dedupe_window_seconds for task in wanted if has_window(task) and task.dedupe_key}
    if not windows:
        return {}
    await hold_keys(ask, owner_id, windows)
    rows = await ask(SQL["find_recent"], owner_id, [*windows], [*windows.values()])
    return {row["dedupe_key"]: row["id"] for row in rows}


def has_window(task: TaskCreate) -> bool:
    return task.dedupe_key is not None and task.dedupe_window_seconds > 0

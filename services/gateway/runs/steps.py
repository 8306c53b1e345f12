"""What a step of a run waits for has come, or is to be waited for longer. Whoever changes the journal from outside, be
it a callback, a decision or an acknowledgement, does it through here."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run, to_jsonb
from shared.database.statements import load_statements
from shared.vocabulary.limits import WAIT_SECONDS
from shared.vocabulary.states import WaitKind

SQL = load_statements("services.gateway.runs", "sql/steps.sql")


async def lock_run(connection: AsyncConnection, run_id: UUID) -> bool:
    """Nobody else changes what this run waits for until the transaction ends. False: its outcome is there already."""
    return bool(await run(connection, SQL["lock_run_work"], run_id))


async def settle_step(
    connection: AsyncConnection,
    run_id: UUID,
    step_id: str,
    *,
    output: object = None,
    error: Mapping[str, Any] | None = None,
    kinds: Collection[WaitKind],
    is_known: bool = True,
) -> bool:
    """End the wait of a step, with `error` (`class`, `message`, `retryable`) as a failure. False: nothing waits
    there any more, and nothing has changed. The caller rings Bell.DUE_WORK.

    The executor may not have written yet that the step waits. `is_known` False: only what it has written counts,
    since the step's name comes from somebody who could make it up."""
    if not await lock_run(connection, run_id):
        return False
    rows = await run(
        connection,
        SQL["settle_step"],
        run_id,
        step_id,
        None if output is None else to_jsonb(output),
        None if error is None else to_jsonb(error),
        [*kinds],
        is_known,
    )
    return bool(rows)


async def extend_step(
    connection: AsyncConnection,
    run_id: UUID,
    step_id: str,
    seconds: float | None,
    *,
    progress: object = None,
    kinds: Collection[WaitKind] = (WaitKind.CALLBACK, WaitKind.INBOX),
) -> datetime | None:
    """The new deadline of a step that waits, `seconds` from now and never nearer than the old one; None of `seconds`:
    as long again as it was meant to wait at first. None: nothing waits there, or not any more."""
    if not await lock_run(connection, run_id):
        return None
    told = None if progress is None else to_jsonb(progress)
    rows = await run(connection, SQL["extend_step"], run_id, step_id, seconds, told, float(WAIT_SECONDS), [*kinds])
    for row in rows:
        deadline_at: datetime = row["deadline_at"]
        return deadline_at
    return None

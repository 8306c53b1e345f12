"""What came due while no scheduler was there, and is then stopped or changed, leaves a row with a reason."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller

BACK = """UPDATE schedule_cursor SET next_at = date_trunc('hour', now()) - interval '2 hours'
          WHERE task_id = $1 RETURNING next_at"""
MISSED = """SELECT count(*) AS count, min(scheduled_for) AS first, max(scheduled_for) AS last,
                   min(skip_reason) AS reason, min(status) AS status
              FROM task_run WHERE task_id = $1"""


async def _hourly(owner: Caller) -> dict[str, Any]:
    return await owner.create_task(schedule_kind="cron", schedule_expr="0 * * * *", timezone="UTC")


@pytest.mark.parametrize(
    ("act", "reason"), [("pause", "task_paused"), ("cancel", "task_canceled"), ("change", "schedule_changed")]
)
async def test_each_missed_time_is_a_skipped_run_that_says_why(
    gateway: Bench, owner: Caller, act: str, reason: str
) -> None:
    task = await _hourly(owner)
    task_id = UUID(task["id"])
    first = (await gateway.row(BACK, task_id))["next_at"]

    if act == "change":
        answer = await owner.put(f"/tasks/{task_id}", {"schedule_expr": "30 * * * *"})
    else:
        answer = await owner.post(f"/tasks/{task_id}/{act}")

    assert answer.status_code == 200, answer.text
    missed = await gateway.row(MISSED, task_id)
    assert (missed["count"], missed["first"], missed["last"]) == (3, first, first + timedelta(hours=2))
    assert (missed["reason"], missed["status"]) == (reason, "skipped")


async def test_a_task_whose_schedule_was_made_bad_can_still_be_canceled(gateway: Bench, owner: Caller) -> None:
    task_id = UUID((await _hourly(owner))["id"])
    await gateway.row(BACK, task_id)
    await gateway.row("UPDATE task SET schedule_expr = 'what is this' WHERE id = $1 RETURNING id", task_id)

    assert (await owner.post(f"/tasks/{task_id}/cancel")).status_code == 200

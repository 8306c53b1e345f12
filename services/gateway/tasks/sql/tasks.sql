-- name: lock_cursor
-- takes: uuid
-- gives: cursor_at timestamptz, runs_planned int4, now timestamptz
-- After the task: a scheduler waits for neither, so that nobody waits in a circle. Whoever holds both knows that no work is
-- about to be made of this task, and its next statement sees what was made before. The time is that after the waiting.
WITH locked AS MATERIALIZED (
    SELECT coalesce(stood_at, next_at) AS stands_at, runs_planned FROM schedule_cursor WHERE task_id = $1 FOR UPDATE
)
SELECT (SELECT stands_at FROM locked) AS cursor_at, (SELECT runs_planned FROM locked) AS runs_planned,
       clock_timestamp() AS now

-- name: put_cursor
-- takes: uuid, int4, timestamptz, int4
INSERT INTO schedule_cursor (task_id, schedule_rev, next_at, runs_planned)
VALUES ($1, $2, $3, $4)
ON CONFLICT (task_id) DO UPDATE
   SET schedule_rev = excluded.schedule_rev, next_at = excluded.next_at, runs_planned = excluded.runs_planned,
       stood_at = NULL

-- name: drop_cursor
-- takes: uuid
DELETE FROM schedule_cursor WHERE task_id = $1

-- name: count_planned_runs
-- takes: uuid
-- gives: planned int4
-- What has counted towards max_runs and still stands; a skip counts when its time comes.
SELECT count(*)::int AS planned
  FROM task_run
 WHERE task_id = $1 AND source = 'schedule'
   AND (skip_reason IS NULL OR skip_reason = 'skipped_by_request' AND scheduled_for <= now())

-- name: withdraw_work
-- takes: uuid, bool, text, timestamptz
-- Takes back what was never begun and no executor holds; $2: only what the schedule made. What had come due or had been
-- promised to someone gets its outcome, with the reason; an occurrence that still lay ahead was never more than a plan.
-- Whether it was begun is told by started_at alone: the attempt of a run that waits is not counted.
WITH withdrawn AS (
    DELETE FROM due_work
     WHERE task_id = $1
       AND (locked_until IS NULL OR locked_until <= $4)
       AND started_at IS NULL
       AND (NOT $2 OR source = 'schedule')
    RETURNING id, task_id, agent_id, scheduled_for, run_at, source, event
)
INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, event, finished_at, skip_reason)
SELECT w.id, w.task_id, w.agent_id, w.scheduled_for, 'canceled', w.source, w.event, $4, $3
  FROM withdrawn w
 WHERE least(w.scheduled_for, w.run_at) <= $4
    OR EXISTS (SELECT FROM task_run known WHERE known.id = w.id)
ON CONFLICT (id) DO UPDATE
   SET status = 'canceled', success = NULL, finished_at = excluded.finished_at, skip_reason = excluded.skip_reason
 WHERE run.finished_at IS NULL

-- name: request_cancel
-- takes: uuid
-- gives: id uuid, is_new bool
-- Of all that is left of a task's work: what was begun, and what an executor holds, be it only to decide whether it may
-- begin; of that there may be no run yet. Who holds one sees this when it renews its lease.
WITH left_over AS MATERIALIZED (
    SELECT w.id, w.task_id, w.agent_id, w.scheduled_for, w.source, w.event,
           EXISTS (SELECT FROM task_run known WHERE known.id = w.id AND known.cancel_requested_at IS NOT NULL) AS is_asked
      FROM due_work w
     WHERE w.task_id = $1
), asked AS (
    INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, event, cancel_requested_at, error)
    SELECT id, task_id, agent_id, scheduled_for, 'queued', source, event, now(),
           jsonb_build_object('class', 'canceled', 'message', 'The task was canceled.', 'retryable', false)
      FROM left_over
    ON CONFLICT (id) DO UPDATE
       SET cancel_requested_at = excluded.cancel_requested_at, error = excluded.error
     WHERE run.finished_at IS NULL AND run.cancel_requested_at IS NULL
)
SELECT id, NOT is_asked AS is_new FROM left_over

-- name: insert_manual_work
-- takes: uuid, uuid, uuid, int4, timestamptz, int2, text, text, text
-- Work and the run that shows it, so that the answer names a run which exists.
WITH work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, concurrency_key,
                          traceparent)
    VALUES ($1, $2, $3, $4, $5, $5, $6, 'manual', $7, $8)
    RETURNING id, task_id, agent_id, scheduled_for, source
)
INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, trace_id)
SELECT id, task_id, agent_id, scheduled_for, 'queued', source, $9 FROM work

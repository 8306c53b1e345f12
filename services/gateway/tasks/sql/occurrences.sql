-- name: lock_pending_work
-- takes: uuid, timestamptz
-- gives: id uuid, scheduled_for timestamptz, run_at timestamptz
-- The occurrence that runs next of those that wait. One that an executor is taking at this moment is passed over: it is as
-- good as leased.
SELECT id, scheduled_for, run_at
  FROM due_work
 WHERE task_id = $1 AND source = 'schedule' AND started_at IS NULL AND (locked_until IS NULL OR locked_until <= $2)
 ORDER BY run_at, id
 LIMIT 1
   FOR UPDATE SKIP LOCKED

-- name: postpone_work
-- takes: uuid, timestamptz
-- Of a row that lock_pending_work locked. A limit that made it stand back, or gave it an earlier time, decides anew then.
UPDATE due_work
   SET run_at = $2, locked_by = NULL, locked_until = NULL, held_until = NULL, is_rate_reserved = false
 WHERE id = $1

-- name: insert_planned_work
-- takes: uuid, uuid, uuid, int4, timestamptz, timestamptz, int2, text
INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, concurrency_key, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'schedule')

-- name: lock_work
-- takes: uuid, timestamptz
-- gives: is_started bool
-- Waits for an executor that is taking it, to see what came of that.
SELECT started_at IS NOT NULL OR coalesce(locked_until > $2, false) AS is_started FROM due_work WHERE id = $1 FOR UPDATE

-- name: find_outcome
-- takes: uuid
-- gives: status text, skip_reason text, is_final bool
SELECT status, skip_reason, finished_at IS NOT NULL AS is_final FROM task_run WHERE id = $1

-- name: skip_occurrence
-- takes: uuid, uuid, uuid, timestamptz, timestamptz
-- The scheduler makes no work of an occurrence that has a run.
WITH removed AS (
    DELETE FROM due_work WHERE id = $1
)
INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, finished_at, skip_reason)
VALUES ($1, $2, $3, $4, 'skipped', 'schedule', $5, 'skipped_by_request')
ON CONFLICT (id) DO UPDATE
   SET status = 'skipped', success = NULL, finished_at = excluded.finished_at, skip_reason = excluded.skip_reason
 WHERE run.finished_at IS NULL

-- name: record_missed
-- takes: uuid[], timestamptz[], uuid, uuid, text, timestamptz
INSERT INTO task_run (id, scheduled_for, task_id, agent_id, skip_reason, finished_at, status, source)
SELECT missed.id, missed.scheduled_for, $3, $4, $5, $6, 'skipped', 'schedule'
  FROM unnest($1::uuid[], $2::timestamptz[]) AS missed (id, scheduled_for)
ON CONFLICT (id) DO NOTHING

-- name: list_settled
-- takes: uuid, uuid
-- gives: id uuid
-- What the scheduler will pass over from an instant on, which $2 is the first id of.
SELECT id FROM task_run WHERE task_id = $1 AND id >= $2
UNION
SELECT id FROM due_work WHERE task_id = $1 AND id >= $2

-- name: move_cursor
-- takes: uuid, timestamptz, int4
UPDATE schedule_cursor SET next_at = $2, stood_at = NULL, runs_planned = runs_planned + $3 WHERE task_id = $1

-- name: list_skips_ahead
-- takes: uuid, uuid, timestamptz
-- gives: id uuid, scheduled_for timestamptz
-- Of whatever revision, each time once; $2 is the first id of $3.
SELECT DISTINCT ON (scheduled_for) id, scheduled_for
  FROM task_run
 WHERE task_id = $1 AND id >= $2 AND scheduled_for > $3 AND skip_reason = 'skipped_by_request'
 ORDER BY scheduled_for, finished_at DESC

-- name: rename_runs
-- takes: uuid[], uuid[]
UPDATE task_run run SET id = renamed.now_id
  FROM unnest($1::uuid[], $2::uuid[]) AS renamed (was_id, now_id)
 WHERE run.id = renamed.was_id

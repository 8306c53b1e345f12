-- name: lock_due_cursors
-- takes: float8, int8, timestamptz
-- gives: now timestamptz, task_id uuid, schedule_rev int4, next_at timestamptz, was_bad bool, runs_planned int4
-- gives: agent_id uuid
-- gives: schedule_kind text, schedule_expr text, timezone text, anchor_at timestamptz, priority int2
-- gives: concurrency_key text, misfire_policy text, misfire_window_seconds int4, jitter_seconds int4
-- gives: starts_at timestamptz, ends_at timestamptz, exclusions text, max_runs int4
-- Only cursors are locked, and none is waited for: any number of schedulers share the work, and a change of the task that
-- holds its cursor goes first. The lock reads the newest cursor, the join the task as it was when the statement began: where
-- a change came in between, their revisions differ, and the next round has both. The time is taken beside the rows, so that bells can be set by it.
SELECT coalesce($3, clock_timestamp()) AS now, c.task_id, c.schedule_rev, coalesce(c.stood_at, c.next_at) AS next_at,
       c.stood_at IS NOT NULL AS was_bad, c.runs_planned, t.agent_id,
       t.schedule_kind, t.schedule_expr, t.timezone, t.anchor_at, t.priority, t.concurrency_key, t.misfire_policy,
       t.misfire_window_seconds, t.jitter_seconds, t.starts_at, t.ends_at, t.exclusions::text AS exclusions, t.max_runs
  FROM (SELECT task_id, schedule_rev, next_at, stood_at, runs_planned
          FROM schedule_cursor
         WHERE next_at <= coalesce($3, now()) + make_interval(secs => $1)
         ORDER BY next_at, task_id
         LIMIT $2
           FOR UPDATE SKIP LOCKED) AS c
  JOIN task t ON t.id = c.task_id AND t.schedule_rev = c.schedule_rev

-- name: insert_due_work
-- takes: uuid[], uuid[], uuid[], int4[], timestamptz[], timestamptz[], int2[], text[]
-- An occurrence that exists already is the same occurrence: its id says so. One that has a run already was snoozed, skipped
-- or executed before its time came. The task may have been handed over since its cursor was locked.
INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, concurrency_key, source)
SELECT new.id, new.task_id, t.agent_id, new.schedule_rev, new.scheduled_for, new.run_at, new.priority,
       new.concurrency_key, 'schedule'
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::smallint[],
              $8::text[]) AS new (id, task_id, planned_for, schedule_rev, scheduled_for, run_at, priority, concurrency_key)
  JOIN task t ON t.id = new.task_id
 WHERE NOT EXISTS (SELECT FROM task_run run WHERE run.id = new.id)
ON CONFLICT (id) DO NOTHING

-- name: record_skipped
-- takes: uuid[], uuid[], uuid[], timestamptz[], text[]
-- One that waits or runs already was moved to another time by name: it is not missed.
INSERT INTO task_run (id, task_id, agent_id, scheduled_for, skip_reason, status, source, finished_at)
SELECT missed.*, 'skipped', 'schedule', now()
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::text[])
    AS missed (id, task_id, agent_id, scheduled_for, reason)
 WHERE NOT EXISTS (SELECT FROM due_work work WHERE work.id = missed.id)
ON CONFLICT (id) DO NOTHING

-- name: move_cursors
-- takes: uuid[], timestamptz[], int4[]
UPDATE schedule_cursor c
   SET next_at = moved.next_at, stood_at = NULL, runs_planned = c.runs_planned + moved.runs
  FROM unnest($1::uuid[], $2::timestamptz[], $3::int[]) AS moved (task_id, next_at, runs)
 WHERE c.task_id = moved.task_id

-- name: mark_schedule_bad
-- takes: uuid, text, float8
-- The task is not waited for: whoever changes it at this moment may be mending it.
WITH bad AS MATERIALIZED (
    SELECT id, schedule_error FROM task WHERE id = $1 FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE task t SET schedule_error = $2, updated_at = now() FROM bad WHERE t.id = bad.id
), audited AS (
    INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
    SELECT 'scheduler', 'task.schedule_failed', 'task', id::text,
           jsonb_build_object('changed', jsonb_build_object(
               'schedule_error', jsonb_build_object('before', schedule_error, 'after', $2::text)))
      FROM bad
     WHERE schedule_error IS DISTINCT FROM $2
)
UPDATE schedule_cursor
   SET stood_at = coalesce(stood_at, next_at), next_at = now() + make_interval(secs => $3)
 WHERE task_id = $1

-- name: clear_schedule_errors
-- takes: uuid[]
WITH mended AS MATERIALIZED (
    SELECT id FROM task WHERE id = ANY ($1) FOR UPDATE SKIP LOCKED
)
UPDATE task t SET schedule_error = NULL, updated_at = now() FROM mended WHERE t.id = mended.id

-- name: complete_exhausted
-- takes: int8
-- gives: task_id uuid
-- A schedule that yields no more is complete when its last occurrence has an outcome.
WITH done AS MATERIALIZED (
    SELECT t.id, t.agent_id
      FROM schedule_cursor c
      JOIN task t ON t.id = c.task_id
     WHERE c.next_at IS NULL
       AND NOT EXISTS (SELECT FROM due_work w WHERE w.task_id = c.task_id)
     ORDER BY c.task_id
     LIMIT $1
       FOR UPDATE OF c, t SKIP LOCKED
), removed AS (
    DELETE FROM schedule_cursor c USING done WHERE c.task_id = done.id
), completed AS (
    UPDATE task t
       SET status = 'completed', version = t.version + 1, updated_at = now()
      FROM done
     WHERE t.id = done.id AND t.status = 'active'
    RETURNING t.id
), audited AS (
    INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
    SELECT 'scheduler', 'task.completed', 'task', id::text,
           '{"changed": {"status": {"before": "active", "after": "completed"}}}'
      FROM completed
)
SELECT id AS task_id FROM completed

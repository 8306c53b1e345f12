-- name: find_schedule
-- takes: uuid, uuid
-- gives: id uuid, status text, status_note text, paused_until timestamptz, schedule_error text, schedule_kind text
-- gives: schedule_expr text, timezone text, anchor_at timestamptz, starts_at timestamptz, ends_at timestamptz
-- gives: exclusions jsonb, max_runs int4, jitter_seconds int4, misfire_policy text, misfire_window_seconds int4
-- gives: schedule_rev int4, created_at timestamptz, cursor_at timestamptz, runs_planned int4, now timestamptz
-- $2: its owner, or null for whoever it is.
SELECT t.id, t.status, t.status_note, t.paused_until, t.schedule_error, t.schedule_kind, t.schedule_expr, t.timezone,
       t.anchor_at, t.starts_at, t.ends_at, t.exclusions, t.max_runs, t.jitter_seconds, t.misfire_policy,
       t.misfire_window_seconds, t.schedule_rev, t.created_at, coalesce(c.stood_at, c.next_at) AS cursor_at,
       coalesce(c.runs_planned, 0) AS runs_planned, clock_timestamp() AS now
  FROM task t
  LEFT JOIN schedule_cursor c ON c.task_id = t.id
 WHERE t.id = $1 AND ($2::uuid IS NULL OR t.agent_id = $2)

-- name: list_waiting
-- takes: uuid, int8
-- gives: id uuid, scheduled_for timestamptz, run_at timestamptz, source text, is_pending bool
-- What waits for the task; not pending is what an executor has, or has begun.
SELECT id, scheduled_for, run_at, source,
       started_at IS NULL AND (locked_until IS NULL OR locked_until <= now()) AS is_pending
  FROM due_work
 WHERE task_id = $1
 ORDER BY scheduled_for, id
 LIMIT $2

-- name: list_skips_ahead
-- takes: uuid, uuid, int8
-- gives: id uuid, scheduled_for timestamptz
SELECT id, scheduled_for
  FROM task_run
 WHERE task_id = $1 AND id >= $2 AND skip_reason = 'skipped_by_request'
 ORDER BY id
 LIMIT $3

-- name: list_runs_until
-- takes: uuid, uuid, int8
-- gives: id uuid, scheduled_for timestamptz, status text, source text, attempt int4, skip_reason text, error jsonb
-- gives: started_at timestamptz, finished_at timestamptz
-- The last ones before the id $2, newest first.
SELECT id, scheduled_for, status, source, attempt, skip_reason, error, started_at, finished_at
  FROM task_run
 WHERE task_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3

-- name: list_runs_from
-- takes: uuid, uuid, int8
-- gives: id uuid, scheduled_for timestamptz, status text, source text, attempt int4, skip_reason text, error jsonb
-- gives: started_at timestamptz, finished_at timestamptz
SELECT id, scheduled_for, status, source, attempt, skip_reason, error, started_at, finished_at
  FROM task_run
 WHERE task_id = $1 AND id >= $2
 ORDER BY id
 LIMIT $3

-- name: list_history
-- takes: text, int8
-- gives: at timestamptz, action text, details jsonb
-- The last changes of a task, newest first.
SELECT at, action, details
  FROM audit_log
 WHERE subject_id = $1 AND action IN ('task.updated', 'task.paused', 'task.resumed', 'task.canceled', 'task.completed')
 ORDER BY at DESC, seq DESC
 LIMIT $2

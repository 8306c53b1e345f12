-- name: lock_ended_pauses
-- takes: int8, timestamptz
-- gives: now timestamptz, id uuid, schedule_rev int4, schedule_kind text, schedule_expr text, timezone text
-- gives: anchor_at timestamptz, starts_at timestamptz, ends_at timestamptz, exclusions jsonb, max_runs int4
-- gives: runs_planned int4
-- Not waited for: whoever holds the task at this moment is changing it.
SELECT coalesce($2, clock_timestamp()) AS now, t.id, t.schedule_rev, t.schedule_kind, t.schedule_expr, t.timezone,
       t.anchor_at, t.starts_at, t.ends_at, t.exclusions, t.max_runs,
       CASE WHEN t.max_runs IS NULL THEN 0
            ELSE (SELECT count(*)::int
                    FROM task_run run
                   WHERE run.task_id = t.id AND run.source = 'schedule'
                     AND (run.skip_reason IS NULL
                          OR run.skip_reason = 'skipped_by_request' AND run.scheduled_for <= coalesce($2, now())))
       END AS runs_planned
  FROM task t
 WHERE t.paused_until <= coalesce($2, now()) AND t.status = 'paused'
 ORDER BY t.paused_until
 LIMIT $1
   FOR UPDATE SKIP LOCKED

-- name: resume_tasks
-- takes: uuid[], timestamptz[], int4[], bool[]
-- $4: whether the schedule follows the clock; one that waits for events has no cursor.
WITH paused AS (
    SELECT id, status_note, paused_until FROM task WHERE id = ANY ($1)
), resumed AS (
    UPDATE task t
       SET status = 'active', status_note = NULL, paused_until = NULL, schedule_error = NULL,
           schedule_rev = t.schedule_rev + 1, version = t.version + 1, updated_at = now(), active_since = now()
      FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::boolean[]) AS r (id, next_at, planned, is_timed)
     WHERE t.id = r.id
    RETURNING t.id, t.schedule_rev, r.next_at, r.planned, r.is_timed
), pointed AS (
    INSERT INTO schedule_cursor (task_id, schedule_rev, next_at, runs_planned)
    SELECT id, schedule_rev, next_at, planned FROM resumed WHERE is_timed
    ON CONFLICT (task_id) DO UPDATE
       SET schedule_rev = excluded.schedule_rev, next_at = excluded.next_at, runs_planned = excluded.runs_planned,
           stood_at = NULL
)
INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
SELECT 'scheduler', 'task.resumed', 'task', id::text,
       jsonb_build_object('reason', 'the pause ended', 'changed', jsonb_build_object(
           'status', '{"before": "paused", "after": "active"}'::jsonb,
           'status_note', jsonb_build_object('before', status_note, 'after', NULL),
           'paused_until', jsonb_build_object('before', paused_until, 'after', NULL)))
  FROM resumed
  JOIN paused USING (id)

-- name: list_skips_ahead
-- takes: uuid[], uuid, timestamptz
-- gives: task_id uuid, id uuid, scheduled_for timestamptz
-- What was asked to be skipped, of whatever revision, each time once; $2 is the first id of $3.
SELECT DISTINCT ON (task_id, scheduled_for) task_id, id, scheduled_for
  FROM task_run
 WHERE task_id = ANY ($1) AND id >= $2 AND scheduled_for > $3 AND skip_reason = 'skipped_by_request'
 ORDER BY task_id, scheduled_for, finished_at DESC

-- name: rename_runs
-- takes: uuid[], uuid[]
-- The same time has another identity under another revision.
UPDATE task_run run SET id = renamed.now_id
  FROM unnest($1::uuid[], $2::uuid[]) AS renamed (was_id, now_id)
 WHERE run.id = renamed.was_id

-- name: leave_paused
-- takes: uuid, text
-- A schedule that cannot be computed stays paused, and says why.
WITH paused AS (
    SELECT id, paused_until FROM task WHERE id = $1
), left_alone AS (
    UPDATE task SET paused_until = NULL, schedule_error = $2, updated_at = now() WHERE id = $1
)
INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
SELECT 'scheduler', 'task.schedule_failed', 'task', id::text,
       jsonb_build_object('changed', jsonb_build_object(
           'paused_until', jsonb_build_object('before', paused_until, 'after', NULL),
           'schedule_error', jsonb_build_object('before', NULL, 'after', $2::text)))
  FROM paused

-- name: lock_run_work
-- takes: uuid
-- gives: id uuid
-- First of all, as the executor does that records an attempt or parks a run: whoever comes second sees what the first wrote.
SELECT id FROM due_work WHERE id = $1 FOR UPDATE

-- name: settle_step
-- takes: uuid, text, jsonb, jsonb, text[], bool
-- gives: id uuid
-- Of a row that lock_run_work locked. The answer can be faster than the journal: then the step still runs or, in a pipeline
-- of one step, is not written at all; $6 says that the caller knows that there is such a step. The kind ($5) is kept also
-- then: by it the executor knows that the end was told, and is none of its own attempts. A run that waits goes on at once; one
-- that is to be tried again keeps its time.
WITH settled AS (
    INSERT INTO run_step AS step (run_id, step_id, status, attempt, output, error, started_at, finished_at, wait_kind)
    SELECT w.id, $2, CASE WHEN $4::jsonb IS NULL THEN 'succeeded' ELSE 'failed' END, greatest(w.attempt, 1), $3, $4,
           now(), now(), ($5::text[])[1]
      FROM due_work w
     WHERE w.id = $1 AND ($6 OR EXISTS (SELECT FROM run_step known WHERE known.run_id = $1 AND known.step_id = $2))
    ON CONFLICT (run_id, step_id) DO UPDATE
       SET status = excluded.status, output = excluded.output, error = excluded.error, finished_at = now(),
           wait_kind = coalesce(step.wait_kind, excluded.wait_kind)
     WHERE step.status = 'running'
        OR (step.status = 'waiting' AND step.wait_kind = ANY ($5)
            AND (step.deadline_at IS NULL OR step.deadline_at > now()))
    RETURNING step.run_id
)
UPDATE due_work w
   SET is_answered = true,
       run_at = CASE WHEN w.locked_by IS NULL AND run.status = 'waiting' THEN now() ELSE w.run_at END
  FROM settled, task_run run
 WHERE w.id = settled.run_id AND run.id = $1
RETURNING w.id

-- name: extend_step
-- takes: uuid, text, float8, jsonb, float8, text[]
-- gives: deadline_at timestamptz
-- Of a row that lock_run_work locked. Without seconds ($3) the wait lasts again as long as it was meant to at first, which
-- the first heartbeat writes down; $5 is the most. A deadline never comes nearer. The run wakes at the first of its deadlines.
WITH waiting AS (
    SELECT run_id, step_id, deadline_at, output,
           coalesce((output #>> '{heartbeat,wait_seconds}')::float8,
                    extract(epoch FROM deadline_at - started_at)::float8) AS wait_seconds
      FROM run_step
     WHERE run_id = $1 AND step_id = $2 AND status = 'waiting' AND wait_kind = ANY ($6)
       AND deadline_at > now()
), extended AS (
    UPDATE run_step step
       SET deadline_at = greatest(w.deadline_at, now() + make_interval(secs => least(coalesce($3, w.wait_seconds), $5))),
           output = CASE jsonb_typeof(w.output) WHEN 'object' THEN w.output ELSE '{}' END
                    || jsonb_build_object('heartbeat', jsonb_build_object(
                           'at', now(), 'wait_seconds', w.wait_seconds,
                           'progress', coalesce($4, w.output #> '{heartbeat,progress}')))
      FROM waiting w
     WHERE step.run_id = w.run_id AND step.step_id = w.step_id
    RETURNING step.run_id, step.step_id, step.deadline_at
), moved AS (
    UPDATE due_work work
       SET run_at = least(e.deadline_at, (SELECT min(other.deadline_at)
                                            FROM run_step other
                                           WHERE other.run_id = $1 AND other.step_id <> $2 AND other.status = 'waiting'))
      FROM extended e, task_run run
     WHERE work.id = $1 AND run.id = $1 AND run.status = 'waiting' AND work.locked_by IS NULL AND NOT work.is_answered
)
SELECT deadline_at FROM extended

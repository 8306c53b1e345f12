-- name: find_disabled_owner
-- takes: uuid
-- gives: id uuid
SELECT a.id FROM task_run run JOIN agent a ON a.id = run.agent_id WHERE run.id = $1 AND a.status <> 'active'

-- name: request_cancel
-- takes: uuid, text
-- gives: id uuid
-- The reason is shown from now on, and becomes the error of the run when it has ended.
UPDATE task_run
   SET cancel_requested_at = now(),
       error = jsonb_build_object('class', 'canceled', 'message', $2::text, 'retryable', false)
 WHERE id = $1 AND finished_at IS NULL AND cancel_requested_at IS NULL
RETURNING id

-- name: insert_replay
-- takes: uuid, uuid, int4, timestamptz, int2, text, text, text
-- Work like that of the run $2, and the run that shows it. What followed an outcome follows it again.
WITH old AS (
    SELECT task_id, agent_id, event, CASE source WHEN 'hook' THEN 'hook' ELSE 'manual' END AS source
      FROM task_run
     WHERE id = $2
), work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, event,
                          concurrency_key, traceparent)
    SELECT $1, task_id, agent_id, $3, $4, $4, $5, source, event, $6, $7 FROM old
)
INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, event, replay_of, trace_id)
SELECT $1, task_id, agent_id, $4, 'queued', source, event, $2, $8 FROM old

-- name: list_steps
-- takes: uuid, int8
-- gives: step_id text, status text, attempt int4, output jsonb, is_output_omitted bool, error jsonb
-- gives: started_at timestamptz, finished_at timestamptz, wait_kind text, deadline_at timestamptz
-- In the order in which they began; outputs as long as all of them together stay below $2 bytes.
SELECT step_id, status, attempt, CASE WHEN bytes <= $2 THEN output END AS output, bytes > $2 AS is_output_omitted, error,
       started_at, finished_at, wait_kind, deadline_at
  FROM (SELECT step.*,
               sum(coalesce(octet_length(output::text), 0)) OVER (ORDER BY started_at, step_id) AS bytes
          FROM run_step step
         WHERE run_id = $1) AS measured
 ORDER BY started_at, step_id

-- name: list_attempts
-- takes: uuid
-- gives: attempt int4, executor text, started_at timestamptz, finished_at timestamptz, error jsonb
SELECT attempt, executor, started_at, finished_at, error FROM run_attempt WHERE run_id = $1 ORDER BY fence

-- name: find_callbacks
-- takes: uuid
-- gives: step_id text, is_waiting bool
-- The steps that wait, or waited, for their target to answer.
SELECT step_id, status = 'waiting' AS is_waiting FROM run_step WHERE run_id = $1 AND wait_kind = 'callback'

-- name: find_step
-- takes: uuid, text, jsonb, jsonb
-- gives: is_settled bool, is_same bool, is_late bool, is_waiting bool
-- $3, $4: what somebody says that became of it. Late: it had waited as long as it might.
SELECT finished_at IS NOT NULL AS is_settled,
       finished_at IS NOT NULL AND output IS NOT DISTINCT FROM $3 AND error IS NOT DISTINCT FROM $4 AS is_same,
       coalesce(deadline_at <= now() AND (status = 'waiting' OR error ->> 'class' = 'timeout'), false) AS is_late,
       status = 'waiting' AS is_waiting
  FROM run_step
 WHERE run_id = $1 AND step_id = $2

-- name: insert_log
-- takes: uuid, text[], text[], int8
-- gives: seq int8
-- As many lines as still fit below $4. Of a run whose row lock_run_work holds, so that nobody else adds any.
INSERT INTO run_log (run_id, level, message)
SELECT $1, line.level, line.message
  FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS line (level, message, place)
 WHERE line.place <= $4 - (SELECT count(*) FROM run_log known WHERE known.run_id = $1)
 ORDER BY line.place
RETURNING seq

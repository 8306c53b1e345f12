-- name: insert_task
-- takes: uuid, uuid, text, text, text, text, text, timestamptz, text, int2, text, int4, int4, text, int4, text, text
-- takes: text, int4, int4, timestamptz, timestamptz, int4, text, text, text[], text, timestamptz
-- takes: int4, text, int4, text, text, int4
-- gives: created_at timestamptz
-- A task and its cursor, in one round trip. One that waits for events has none.
WITH made AS (
    INSERT INTO task (id, agent_id, title, description, schedule_kind, schedule_expr, timezone, anchor_at, payload,
                      priority, dedupe_key, dedupe_window_seconds, max_retries, backoff_strategy, timeout_seconds,
                      concurrency_key, overlap_policy, misfire_policy, misfire_window_seconds, jitter_seconds,
                      starts_at, ends_at, max_runs, exclusions, event_filter, tags, traceparent,
                      concurrency_limit, rate_limit, expires_after_seconds, on_success, on_failure,
                      pause_after_failures)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
            $22, $23, $24::text::jsonb, $25, $26, $27, $29, $30::text::jsonb, $31, $32::text::jsonb,
            $33::text::jsonb, $34)
    RETURNING id, schedule_rev, created_at
), pointed AS (
    INSERT INTO schedule_cursor (task_id, schedule_rev, next_at)
    SELECT id, schedule_rev, $28 FROM made WHERE $28::timestamptz IS NOT NULL
)
SELECT created_at FROM made

-- name: find_next_time
-- takes: uuid
-- gives: next_at timestamptz
-- One row for a task that exists; a task that waits for events has no next time.
SELECT c.next_at FROM task t LEFT JOIN schedule_cursor c ON c.task_id = t.id WHERE t.id = $1

-- name: hold_agent
-- takes: uuid
-- Whoever counts the tasks of an agent and adds one goes after another; a reference to the agent waits for nobody.
SELECT FROM agent WHERE id = $1 FOR NO KEY UPDATE

-- name: count_active_tasks
-- takes: uuid, int8
-- gives: tasks int4
-- No further than $2.
SELECT count(*)::int AS tasks
  FROM (SELECT FROM task WHERE agent_id = $1 AND status = 'active' LIMIT $2) AS counted

-- name: count_tasks_of_steps
-- takes: uuid, int8
-- gives: tasks int4
-- Those that steps of the agent's runs have made within an hour, whatever became of them; no further than $2.
SELECT count(*)::int AS tasks
  FROM (SELECT FROM audit_log
         WHERE actor_id = $1 AND at > now() - interval '1 hour' AND action = 'task.created' AND details ? 'caused_by'
         LIMIT $2) AS counted

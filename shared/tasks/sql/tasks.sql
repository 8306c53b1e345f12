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

-- name: insert_tasks
-- takes: text
-- gives: id uuid, created_at timestamptz
-- Many at once, from a JSON array of rows, each with its cursor. One whose dedupe_key is taken is left out.
WITH wanted AS MATERIALIZED (
    SELECT *
      FROM json_to_recordset($1::text::json)
           AS row(id uuid, agent_id uuid, title text, description text, schedule_kind text, schedule_expr text,
                  timezone text, anchor_at timestamptz, payload jsonb, priority int2, dedupe_key text,
                  dedupe_window_seconds int4, max_retries int4, backoff_strategy text, timeout_seconds int4,
                  concurrency_key text, overlap_policy text, misfire_policy text, misfire_window_seconds int4,
                  jitter_seconds int4, starts_at timestamptz, ends_at timestamptz, max_runs int4, exclusions jsonb,
                  event_filter text, tags text[], traceparent text, concurrency_limit int4, rate_limit jsonb,
                  expires_after_seconds int4, on_success jsonb, on_failure jsonb, pause_after_failures int4,
                  first_at timestamptz)
), made AS (
    INSERT INTO task (id, agent_id, title, description, schedule_kind, schedule_expr, timezone, anchor_at, payload,
                      priority, dedupe_key, dedupe_window_seconds, max_retries, backoff_strategy, timeout_seconds,
                      concurrency_key, overlap_policy, misfire_policy, misfire_window_seconds, jitter_seconds,
                      starts_at, ends_at, max_runs, exclusions, event_filter, tags, traceparent,
                      concurrency_limit, rate_limit, expires_after_seconds, on_success, on_failure,
                      pause_after_failures)
    SELECT id, agent_id, title, description, schedule_kind, schedule_expr, timezone, anchor_at, payload,
           priority, dedupe_key, dedupe_window_seconds, max_retries, backoff_strategy, timeout_seconds,
           concurrency_key, overlap_policy, misfire_policy, misfire_window_seconds, jitter_seconds,
           starts_at, ends_at, max_runs, exclusions, event_filter, tags, traceparent,
           concurrency_limit, rate_limit, expires_after_seconds, on_success, on_failure,
           pause_after_failures
      FROM wanted
    ON CONFLICT (agent_id, dedupe_key) WHERE dedupe_key IS NOT NULL AND status IN ('active', 'paused') DO NOTHING
    RETURNING id, schedule_rev, created_at
), pointed AS (
    INSERT INTO schedule_cursor (task_id, schedule_rev, next_at)
    SELECT made.id, made.schedule_rev, wanted.first_at
      FROM made JOIN wanted USING (id)
     WHERE wanted.first_at IS NOT NULL
)
SELECT id, created_at FROM made

-- name: hold_keys
-- takes: text[]
-- gives: held int8
-- Whoever asks whether there is a task with a key, and makes one if there is not, goes after another.
SELECT count(pg_advisory_xact_lock(hashtextextended(name, 0))) AS held
  FROM (SELECT name FROM unnest($1::text[]) AS name ORDER BY name) AS named

-- name: find_recent
-- takes: uuid, text[], int4[]
-- gives: dedupe_key text, id uuid
-- For each key the newest task that the agent has made with it within as many seconds, whatever became of it.
SELECT wanted.key AS dedupe_key, recent.id
  FROM unnest($2::text[], $3::int4[]) AS wanted (key, seconds)
 CROSS JOIN LATERAL (SELECT t.id
                       FROM task t
                      WHERE t.agent_id = $1 AND t.dedupe_key = wanted.key
                        AND t.created_at > now() - make_interval(secs => wanted.seconds)
                      ORDER BY t.created_at DESC
                      LIMIT 1) AS recent

-- name: find_next_time
-- takes: uuid
-- gives: next_at timestamptz
-- One row for a task that exists; a task that waits for events has no next time.
SELECT c.next_at FROM task t LEFT JOIN schedule_cursor c ON c.task_id = t.id WHERE t.id = $1

-- name: hold_agent
-- takes: uuid
-- gives: active_tasks int4
-- Its own limit. Whoever counts the tasks of an agent and adds one goes after another; a reference to the agent waits
-- for nobody. No row for an agent that was deleted meanwhile.
SELECT (limits ->> 'active_tasks')::int AS active_tasks
  FROM agent
 WHERE id = $1 AND deleted_at IS NULL
   FOR NO KEY UPDATE

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

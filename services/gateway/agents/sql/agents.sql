-- name: lock_agents
-- takes: uuid[]
-- gives: id uuid, name text, name_key text, scopes text[], status text, webhook_url text, limits jsonb, version int4
SELECT id, name, name_key, scopes, status, webhook_url, limits, version
  FROM agent
 WHERE id = ANY ($1) AND deleted_at IS NULL
 ORDER BY id
   FOR NO KEY UPDATE

-- name: count_runs_from_now
-- takes: uuid, int8, uuid
-- Counted by the nominal times of today, no further than the limit: $3 is the first id of today.
INSERT INTO agent_day (agent_id, day, runs)
SELECT $1, (now() AT TIME ZONE 'UTC')::date, count(*)
  FROM (SELECT FROM task_run run WHERE run.agent_id = $1 AND run.id >= $3 AND run.started_at IS NOT NULL LIMIT $2) AS begun
ON CONFLICT (agent_id) DO UPDATE SET day = greatest(agent_day.day, excluded.day), runs = excluded.runs

-- name: find_own_token
-- takes: text
-- gives: key_id text, label text, expires_at timestamptz
SELECT key_id, label, expires_at FROM agent_token WHERE key_id = $1

-- name: measure_usage
-- takes: uuid, int8
-- gives: active_tasks int4, runs_today int4
-- Runs are counted exactly for who has a limit of them; for others the rollups tell.
SELECT (SELECT count(*)::int
          FROM (SELECT FROM task t WHERE t.agent_id = a.id AND t.status = 'active' LIMIT $2) AS counted) AS active_tasks,
       CASE WHEN a.limits ? 'runs_per_day'
            THEN coalesce((SELECT d.runs
                             FROM agent_day d
                            WHERE d.agent_id = a.id AND d.day = (now() AT TIME ZONE 'UTC')::date), 0)
            ELSE coalesce((SELECT sum(r.begun)::int
                             FROM run_rollup r
                            WHERE r.subject_id = a.id AND r.hours = 1 AND r.since >= date_trunc('day', now(), 'UTC')), 0)
       END AS runs_today
  FROM agent a
 WHERE a.id = $1

-- name: find_spent_day
-- takes: uuid
-- gives: runs_per_day int8
-- Its limit, if the agent has begun as many runs today.
SELECT (a.limits ->> 'runs_per_day')::int8 AS runs_per_day
  FROM agent a
  JOIN agent_day d ON d.agent_id = a.id AND d.day = (now() AT TIME ZONE 'UTC')::date
 WHERE a.id = $1 AND d.runs >= (a.limits ->> 'runs_per_day')::int8

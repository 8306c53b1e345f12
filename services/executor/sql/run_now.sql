-- name: find_made_run
-- takes: uuid
-- gives: task_id uuid
SELECT task_id FROM task_run WHERE id = $1

-- name: hold_task_to_run
-- takes: uuid, uuid
-- gives: agent_id uuid, schedule_rev int4, status text, priority int2, concurrency_key text
-- $2 is its owner, or null for anybody's. Held against changes until the commit.
SELECT agent_id, schedule_rev, status, priority, concurrency_key
  FROM task
 WHERE id = $1 AND ($2::uuid IS NULL OR agent_id = $2)
   FOR SHARE

-- name: insert_caused_work
-- takes: uuid, uuid, uuid, int4, int2, text, jsonb, text, text
-- Work and the run that shows it.
WITH work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, concurrency_key,
                          event, traceparent)
    VALUES ($1, $2, $3, $4, now(), now(), $5, 'manual', $6, $7, $8)
    RETURNING id, task_id, agent_id, scheduled_for, source, event
)
INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, event, trace_id)
SELECT id, task_id, agent_id, scheduled_for, 'queued', source, event, $9 FROM work

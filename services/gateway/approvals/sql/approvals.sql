-- name: show_approval
-- takes: uuid, uuid
-- gives: id uuid, task_id uuid, run_id uuid, step_id text, created_by uuid, prompt text, details jsonb, status text
-- gives: deadline_at timestamptz, decided_by text, decided_at timestamptz, note text, created_at timestamptz
-- $2: of this agent, or of any. What has outlived its deadline or its run is shown as expired at once, before anybody has
-- written so; so it is in the lists.
SELECT id, task_id, run_id, step_id, agent_id AS created_by, prompt, details, standing AS status, deadline_at, decided_by,
       decided_at, note, created_at
  FROM (SELECT a.*,
           CASE WHEN a.status = 'pending'
                     AND (a.deadline_at <= now() OR NOT EXISTS (SELECT FROM due_work w WHERE w.id = a.run_id))
                THEN 'expired' ELSE a.status END AS standing
      FROM approval a
     WHERE a.id = $1 AND ($2::uuid IS NULL OR a.agent_id = $2)) AS shown

-- name: list_approvals
-- takes: uuid, text, int8, int8
-- gives: id uuid, task_id uuid, run_id uuid, step_id text, created_by uuid, prompt text, details jsonb, status text
-- gives: deadline_at timestamptz, decided_by text, decided_at timestamptz, note text, created_at timestamptz
-- Those of one agent, newest first, along the index on (agent_id, id). Of those with one status ($2), only what is stored as
-- such, or as pending, is looked at closer.
SELECT id, task_id, run_id, step_id, agent_id AS created_by, prompt, details, standing AS status, deadline_at, decided_by,
       decided_at, note, created_at
  FROM (SELECT a.*,
           CASE WHEN a.status = 'pending'
                     AND (a.deadline_at <= now() OR NOT EXISTS (SELECT FROM due_work w WHERE w.id = a.run_id))
                THEN 'expired' ELSE a.status END AS standing
      FROM approval a
     WHERE a.agent_id = $1 AND ($2::text IS NULL OR a.status IN ($2, 'pending'))) AS shown
 WHERE $2::text IS NULL OR standing = $2
 ORDER BY id DESC
 LIMIT $3 OFFSET $4

-- name: list_all_approvals
-- takes: text, int8, int8
-- gives: id uuid, task_id uuid, run_id uuid, step_id text, created_by uuid, prompt text, details jsonb, status text
-- gives: deadline_at timestamptz, decided_by text, decided_at timestamptz, note text, created_at timestamptz
-- As list_approvals, of every agent, along the primary key.
SELECT id, task_id, run_id, step_id, agent_id AS created_by, prompt, details, standing AS status, deadline_at, decided_by,
       decided_at, note, created_at
  FROM (SELECT a.*,
           CASE WHEN a.status = 'pending'
                     AND (a.deadline_at <= now() OR NOT EXISTS (SELECT FROM due_work w WHERE w.id = a.run_id))
                THEN 'expired' ELSE a.status END AS standing
      FROM approval a
     WHERE $1::text IS NULL OR a.status IN ($1, 'pending')) AS shown
 WHERE $1::text IS NULL OR standing = $1
 ORDER BY id DESC
 LIMIT $2 OFFSET $3

-- name: count_approvals
-- takes: uuid, text
-- gives: total int4
SELECT count(*)::int AS total
  FROM approval a
 WHERE ($1::uuid IS NULL OR a.agent_id = $1)
   AND ($2::text IS NULL
        OR a.status IN ($2, 'pending')
           AND $2 = CASE WHEN a.status = 'pending'
                              AND (a.deadline_at <= now() OR NOT EXISTS (SELECT FROM due_work w WHERE w.id = a.run_id))
                         THEN 'expired' ELSE a.status END)

-- name: find_approval
-- takes: uuid, uuid
-- gives: run_id uuid, step_id text, details jsonb, status text
SELECT run_id, step_id, details, status
  FROM approval
 WHERE id = $1 AND ($2::uuid IS NULL OR agent_id = $2)

-- name: decide_approval
-- takes: uuid, text, text, text
-- gives: decided_at timestamptz
UPDATE approval
   SET status = $2, decided_by = $3, note = $4, decided_at = now()
 WHERE id = $1 AND status = 'pending' AND deadline_at > now()
RETURNING decided_at

-- name: request_approval
-- takes: uuid, uuid, int8, text, text, jsonb, float8
-- gives: is_leased bool, status text, remaining_seconds float8, decided_by text, decided_at timestamptz, note text
-- Once per step, and only under the lease, whose row stays locked until the request is stored. What an earlier try has
-- stored is told as it stands.
WITH lease AS MATERIALIZED (
    SELECT w.id, w.task_id, w.agent_id
      FROM due_work w
     WHERE w.id = $2 AND w.fence = $3 AND w.locked_until IS NOT NULL
       FOR SHARE
), made AS (
    INSERT INTO approval (id, agent_id, task_id, run_id, step_id, prompt, details, deadline_at)
    SELECT $1, lease.agent_id, lease.task_id, lease.id, $4, $5, $6, now() + make_interval(secs => $7)
      FROM lease
    ON CONFLICT (id) DO NOTHING
)
SELECT EXISTS (SELECT FROM lease) AS is_leased,
       coalesce(known.status, 'pending') AS status,
       coalesce(extract(epoch FROM known.deadline_at - now())::float8, $7) AS remaining_seconds,
       known.decided_by, known.decided_at, known.note
  FROM (SELECT) AS always
  LEFT JOIN approval known ON known.id = $1

-- name: expire_approval
-- takes: uuid
-- gives: status text, decided_by text, decided_at timestamptz, note text
-- Of one whose deadline has passed. A decision taken meanwhile stands.
UPDATE approval
   SET status = CASE status WHEN 'pending' THEN 'expired' ELSE status END,
       decided_at = coalesce(decided_at, now())
 WHERE id = $1
RETURNING status, decided_by, decided_at, note

-- name: prune_approvals
-- takes: int4
-- What was settled, or has expired undecided, so many days ago, and whose run has ended. Their ids begin with the time of
-- their run, which came before: so only the oldest are looked at.
DELETE FROM approval
 WHERE id IN (SELECT a.id
                FROM approval a
               WHERE a.id < rpad(lpad(to_hex((extract(epoch FROM now() - make_interval(days => $1)) * 1000)::int8), 12, '0'),
                                 32, '0')::uuid
                 AND coalesce(a.decided_at, a.deadline_at) < now() - make_interval(days => $1)
                 AND NOT EXISTS (SELECT FROM due_work w WHERE w.id = a.run_id)
               ORDER BY a.id
               LIMIT 10000)

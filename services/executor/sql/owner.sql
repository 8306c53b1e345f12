-- name: hold_lease
-- takes: uuid, int8
-- gives: agent_id uuid, name text, is_active bool, scopes text[], min_interval_seconds int4
-- Whoever makes the run's task act, as it stands now; no row when the run belongs to another executor by now. Locked, so
-- that nobody takes the run over before what follows is committed.
SELECT a.id AS agent_id, a.name, a.status = 'active' AS is_active, a.scopes,
       (a.limits ->> 'min_interval_seconds')::int AS min_interval_seconds
  FROM due_work w
  JOIN agent a ON a.id = w.agent_id
 WHERE w.id = $1 AND w.fence = $2 AND w.locked_until IS NOT NULL
   FOR SHARE OF w

-- name: record_act
-- takes: uuid, text, text, text, text, jsonb, text
INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, details, trace_id)
VALUES ($1, $2, $3, $4, $5, $6, $7)

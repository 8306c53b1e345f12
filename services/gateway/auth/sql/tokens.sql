-- name: find_token
-- takes: text
-- gives: secret_hash bytea, is_valid bool, is_use_unrecorded bool, agent_id uuid, name text, scopes text[]
-- gives: limits jsonb, seconds_left float8
SELECT t.secret_hash,
       t.revoked_at IS NULL AND a.status = 'active' AS is_valid,
       coalesce(t.last_used_at < now() - interval '10 minutes', true) AS is_use_unrecorded,
       a.id AS agent_id, a.name, a.scopes, a.limits,
       extract(epoch FROM t.expires_at - now())::float8 AS seconds_left
  FROM agent_token t
  JOIN agent a ON a.id = t.agent_id
 WHERE t.key_id = $1

-- name: record_use
-- takes: text
-- One write in ten minutes, whatever the number of gateways that notice at once.
UPDATE agent_token
   SET last_used_at = now()
 WHERE key_id = $1 AND coalesce(last_used_at < now() - interval '10 minutes', true)

-- name: insert_token
-- takes: text, uuid, bytea, text, int4, timestamptz
-- gives: expires_at timestamptz
INSERT INTO agent_token (key_id, agent_id, secret_hash, label, expires_at)
VALUES ($1, $2, $3, $4, coalesce($6, now() + make_interval(days => $5)))
RETURNING expires_at

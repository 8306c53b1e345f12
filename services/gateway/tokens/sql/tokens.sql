-- name: lock_token
-- takes: uuid, text
-- gives: key_id text, label text, status text, created_at timestamptz, expires_at timestamptz, revoked_at timestamptz
-- gives: last_used_at timestamptz
SELECT key_id, label,
       CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() THEN 'expired' ELSE 'active' END AS status,
       created_at, expires_at, revoked_at, last_used_at
  FROM agent_token
 WHERE agent_id = $1 AND key_id = $2
   FOR UPDATE

-- name: count_active_tokens
-- takes: uuid
-- gives: tokens int4
SELECT count(*)::int AS tokens
  FROM agent_token
 WHERE agent_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: retire_token
-- takes: text, float8
-- Never later than it would have ended by itself.
UPDATE agent_token SET expires_at = least(expires_at, now() + make_interval(secs => $2)) WHERE key_id = $1

-- name: revoke_token
-- takes: text
UPDATE agent_token SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL

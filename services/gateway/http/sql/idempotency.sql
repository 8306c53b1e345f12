-- name: lock_key
-- takes: text
-- gives: is_free bool
-- Held until the transaction ends, so that a second request with the same key knows at once that the first is under way.
SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AS is_free

-- name: find_reply
-- takes: uuid, text, text
-- gives: fingerprint bytea, status int4, headers jsonb, body bytea
SELECT fingerprint, status, headers, body
  FROM idempotency_key
 WHERE agent_id = $1 AND route = $2 AND key = $3 AND expires_at > now()

-- name: store_reply
-- takes: uuid, text, text, bytea, int4, jsonb, bytea, int4
INSERT INTO idempotency_key (agent_id, route, key, fingerprint, status, headers, body, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(hours => $8))
ON CONFLICT (agent_id, route, key) DO UPDATE
   SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body,
       created_at = now(), expires_at = excluded.expires_at

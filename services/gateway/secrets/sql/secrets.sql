-- name: lock_secrets
-- takes: uuid
-- gives: held int8
-- The agent's row puts the changes of its secrets into an order.
WITH owner AS MATERIALIZED (
    SELECT id FROM agent WHERE id = $1 FOR NO KEY UPDATE
)
SELECT count(*) AS held FROM owner

-- name: find_secret
-- takes: uuid, text
-- gives: name text, version int4, created_at timestamptz, updated_at timestamptz
SELECT name, version, created_at, updated_at FROM secret WHERE agent_id = $1 AND name = $2

-- name: list_secrets
-- takes: uuid, int8, int8
-- gives: name text, version int4, created_at timestamptz, updated_at timestamptz
SELECT name, version, created_at, updated_at FROM secret WHERE agent_id = $1 ORDER BY name LIMIT $2 OFFSET $3

-- name: count_secrets
-- takes: uuid
-- gives: total int8
SELECT count(*) AS total FROM secret WHERE agent_id = $1

-- name: put_secret
-- takes: uuid, text, int4, text, bytea, bytea
-- gives: name text, version int4, created_at timestamptz, updated_at timestamptz
INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (agent_id, name) DO UPDATE
   SET version = excluded.version, key_id = excluded.key_id, nonce = excluded.nonce, ciphertext = excluded.ciphertext,
       updated_at = now()
RETURNING name, version, created_at, updated_at

-- name: delete_secret
-- takes: uuid, text
DELETE FROM secret WHERE agent_id = $1 AND name = $2

-- name: find_tasks_that_use
-- takes: uuid, text
-- gives: id uuid, total int8
-- Tasks that will run, or of which work is under way. $2: what a reference looks like in their text.
SELECT id, count(*) OVER () AS total
  FROM task
 WHERE agent_id = $1
   AND (status IN ('active', 'paused') OR EXISTS (SELECT FROM due_work WHERE due_work.task_id = task.id))
   AND concat_ws(' ', payload::text, on_success::text, on_failure::text) ~ $2
 ORDER BY id
 LIMIT 5

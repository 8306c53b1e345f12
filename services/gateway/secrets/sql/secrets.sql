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

-- name: measure_secrets
-- takes: uuid, text
-- gives: total int8, bytes int8
-- Of all but the one named $2; a ciphertext ends with a tag of 16 bytes.
SELECT count(*) AS total, coalesce(sum(greatest(octet_length(ciphertext) - 16, 0)), 0)::int8 AS bytes
  FROM secret
 WHERE agent_id = $1 AND name <> $2

-- name: find_secrets_of_run
-- takes: uuid, text, int8, int8
-- gives: agent_id uuid, name text, version int4, key_id text, nonce bytea, ciphertext bytea
-- Those that the run's task refers to; $2: what a reference looks like, with % for the name. Most tasks have none, and the
-- word is looked for before anything else. At most $3 of them, and as many bytes ($4) as runs may be given; the longest are
-- left out first.
WITH said AS MATERIALIZED (
    SELECT task.agent_id, task.text
      FROM task_run run
     CROSS JOIN LATERAL (
            SELECT t.agent_id, concat_ws(' ', t.payload::text, t.on_success::text, t.on_failure::text) AS text
              FROM task t
             WHERE t.id = run.task_id) AS task
     WHERE run.id = $1 AND position('secrets' IN task.text) > 0
), used AS (
    SELECT s.*, row_number() OVER shortest AS place, sum(octet_length(s.ciphertext)) OVER shortest AS bytes
      FROM said
      JOIN secret s ON s.agent_id = said.agent_id
     WHERE CASE WHEN position(s.name IN said.text) > 0 THEN said.text ~ replace($2, '%', s.name) ELSE false END
    WINDOW shortest AS (ORDER BY octet_length(s.ciphertext), s.name)
)
SELECT agent_id, name, version, key_id, nonce, ciphertext FROM used WHERE place <= $3 AND bytes <= $4

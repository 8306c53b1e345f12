-- name: claim_messages
-- takes: uuid, int8, float8
-- gives: id uuid, body jsonb, fence int8, deliveries int4, sender_id uuid, sender text, run_id uuid, step_id text
-- gives: created_at timestamptz, visible_until timestamptz, expires_at timestamptz, traceparent text
-- A message that a run waited for, and that has outlived it, is not handed out any more.
WITH picked AS MATERIALIZED (
    SELECT m.id, m.available_at
      FROM inbox_message m
     WHERE m.agent_id = $1 AND m.settled_at IS NULL AND m.available_at <= now()
       AND m.expires_at > now() AND m.deliveries < m.max_deliveries
       AND (NOT m.is_awaited OR EXISTS (SELECT FROM due_work w WHERE w.id = m.run_id))
     ORDER BY m.available_at, m.id
     LIMIT $2
       FOR UPDATE OF m SKIP LOCKED
), claimed AS (
    UPDATE inbox_message m
       SET fence = m.fence + 1,
           deliveries = m.deliveries + 1,
           available_at = now() + make_interval(secs => $3)
      FROM picked
     WHERE m.id = picked.id
    RETURNING m.*, picked.available_at AS waited_since
)
SELECT c.id, c.body, c.fence, c.deliveries, c.sender_id, agent.name AS sender, c.run_id, c.step_id, c.created_at,
       c.available_at AS visible_until, c.expires_at, c.traceparent
  FROM claimed c
  LEFT JOIN agent ON agent.id = c.sender_id
 ORDER BY c.waited_since, c.id

-- name: find_spent_messages
-- takes: uuid
-- gives: id uuid, awaiting_run_id uuid
-- In the order in which their runs are to be locked, which comes before the messages.
SELECT m.id, CASE WHEN m.is_awaited THEN m.run_id END AS awaiting_run_id
  FROM inbox_message m
 WHERE m.agent_id = $1 AND m.settled_at IS NULL AND m.available_at <= now()
   AND (m.expires_at <= now() OR m.deliveries >= m.max_deliveries
        OR (m.is_awaited AND NOT EXISTS (SELECT FROM due_work w WHERE w.id = m.run_id)))
 ORDER BY m.run_id, m.id
 LIMIT 100

-- name: settle_spent_messages
-- takes: uuid[]
-- gives: run_id uuid, step_id text, is_awaited bool, settled_as text, deliveries int4
-- Of what find_spent_messages found in this transaction: whoever has claimed one meanwhile has moved it ahead.
WITH spent AS MATERIALIZED (
    SELECT id
      FROM inbox_message
     WHERE id = ANY ($1) AND settled_at IS NULL AND available_at <= now()
       FOR UPDATE SKIP LOCKED
)
UPDATE inbox_message m
   SET settled_at = now(),
       settled_as = CASE WHEN m.deliveries >= m.max_deliveries THEN 'dead' ELSE 'expired' END
  FROM spent
 WHERE m.id = spent.id
RETURNING m.run_id, m.step_id, m.is_awaited, m.settled_as, m.deliveries

-- name: find_message
-- takes: uuid, uuid
-- gives: run_id uuid, step_id text, is_awaited bool, fence int8, settled_as text, is_expired bool
SELECT run_id, step_id, is_awaited, fence, settled_as, is_awaited AND expires_at <= now() AS is_expired
  FROM inbox_message
 WHERE id = $1 AND agent_id = $2

-- name: settle_message
-- takes: uuid, int8, text
-- gives: id uuid
-- By whoever has it. One that a run waited for expires also in the hands of its agent.
UPDATE inbox_message
   SET settled_at = now(), settled_as = $3
 WHERE id = $1 AND fence = $2 AND settled_at IS NULL AND (NOT is_awaited OR expires_at > now())
RETURNING id

-- name: move_message
-- takes: uuid, int8, float8
-- gives: visible_at timestamptz
-- By whoever has it: when it shows itself again.
UPDATE inbox_message
   SET available_at = now() + make_interval(secs => $3)
 WHERE id = $1 AND fence = $2 AND settled_at IS NULL AND (NOT is_awaited OR expires_at > now())
RETURNING available_at AS visible_at

-- name: messages_still_held
-- takes: uuid[], int8[]
-- gives: id uuid, fence int8
SELECT m.id, m.fence
  FROM inbox_message m
  JOIN unnest($1::uuid[], $2::bigint[]) AS mine (id, fence) ON mine.id = m.id AND mine.fence = m.fence
 WHERE m.settled_at IS NULL AND m.available_at > now()

-- name: inboxes_with_messages
-- takes: uuid[]
-- gives: agent_id uuid
SELECT waiting.agent_id
  FROM unnest($1::uuid[]) AS waiting (agent_id)
 WHERE EXISTS (SELECT
                 FROM inbox_message m
                WHERE m.agent_id = waiting.agent_id AND m.settled_at IS NULL AND m.available_at <= now())

-- name: deliver_message
-- takes: uuid, uuid, int8, text, uuid, text, uuid, jsonb, bool, int4, float8, text, int8
-- gives: is_leased bool, agent_id uuid, agent text, is_full bool, is_made bool, remaining_seconds float8, settled_as text
-- gives: deliveries int4
-- Once per step, and only under the lease, whose row stays locked until the message is stored. The recipient is looked for
-- among those to whom the task's owner may deliver now. What an earlier try has stored is told and not changed: to lock it
-- here would be the other way round than an acknowledgement does. An inbox holds $13 messages; those who deliver at the same
-- moment may each add one more.
WITH lease AS MATERIALIZED (
    SELECT w.id
      FROM due_work w
     WHERE w.id = $2 AND w.fence = $3 AND w.locked_until IS NOT NULL
       FOR SHARE
), recipient AS MATERIALIZED (
    SELECT agent.id, agent.name
      FROM agent owner
      JOIN agent ON agent.name_key = $6 OR agent.id = $7
     WHERE owner.id = $5
       AND owner.status = 'active' AND agent.status = 'active'
       AND (agent.id = owner.id OR 'admin' = ANY (owner.scopes))
     ORDER BY agent.id = $7
     LIMIT 1
), held AS MATERIALIZED (
    SELECT count(*) >= $13 AS is_full
      FROM recipient
     CROSS JOIN LATERAL (
            SELECT
              FROM inbox_message m
             WHERE m.agent_id = recipient.id AND m.settled_at IS NULL AND m.expires_at > now()
             LIMIT $13) AS waiting
), made AS (
    INSERT INTO inbox_message (id, agent_id, run_id, step_id, sender_id, body, is_awaited, max_deliveries, expires_at,
                               traceparent)
    SELECT $1, recipient.id, $2, $4, $5, $8::jsonb -> 'body', $9, $10, now() + make_interval(secs => $11), $12
      FROM lease, recipient, held
     WHERE NOT held.is_full
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), known AS (
    SELECT m.agent_id, agent.name, m.expires_at, m.settled_as, m.deliveries
      FROM inbox_message m
      JOIN agent ON agent.id = m.agent_id
     WHERE m.id = $1
)
SELECT EXISTS (SELECT FROM lease) AS is_leased,
       coalesce(known.agent_id, recipient.id) AS agent_id,
       coalesce(known.name, recipient.name) AS agent,
       known.agent_id IS NULL AND held.is_full AS is_full,
       EXISTS (SELECT FROM made) AS is_made,
       coalesce(extract(epoch FROM known.expires_at - now())::float8, $11) AS remaining_seconds,
       known.settled_as,
       coalesce(known.deliveries, 0) AS deliveries
  FROM held
  LEFT JOIN recipient ON true
  LEFT JOIN known ON true

-- name: withdraw_expired_message
-- takes: uuid
-- Nobody waits for it any longer: a fact, for which it needs no lease.
UPDATE inbox_message
   SET settled_at = now(), settled_as = 'expired'
 WHERE id = $1 AND settled_at IS NULL AND expires_at <= now()

-- name: prune_inbox
-- takes: int4
-- What was settled, or has expired unasked, long ago; an agent that never looks leaves nothing for ever.
DELETE FROM inbox_message
 WHERE id IN (SELECT id
                FROM inbox_message
               WHERE coalesce(settled_at, expires_at) < now() - make_interval(days => $1)
               LIMIT 10000)

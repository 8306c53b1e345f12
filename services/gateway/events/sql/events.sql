-- name: claim_keys
-- takes: uuid[], bytea[], uuid[]
-- gives: event_id uuid
-- Of events that their publishers named: those that nobody had named so before. In one order, so that no two publishers wait
-- for each other in a circle.
INSERT INTO event_key (agent_id, digest, event_id)
SELECT named.agent_id, named.digest, named.event_id
  FROM unnest($1::uuid[], $2::bytea[], $3::uuid[]) AS named (agent_id, digest, event_id)
 ORDER BY named.agent_id, named.digest
ON CONFLICT (agent_id, digest) DO NOTHING
RETURNING event_id

-- name: find_keys
-- takes: uuid[], bytea[]
-- gives: agent_id uuid, digest bytea, event_id uuid, is_kept bool
SELECT known.agent_id, known.digest, known.event_id, EXISTS (SELECT FROM event e WHERE e.id = known.event_id) AS is_kept
  FROM unnest($1::uuid[], $2::bytea[]) AS named (agent_id, digest)
  JOIN event_key known ON known.agent_id = named.agent_id AND known.digest = named.digest

-- name: forget_keys
-- takes: uuid[]
DELETE FROM event_key WHERE event_id = ANY ($1)

-- name: list_patterns
-- takes: text, int8
-- gives: pattern text
-- What active tasks wait for, beginning with $1.
SELECT schedule_expr AS pattern
  FROM task
 WHERE schedule_kind = 'event' AND status = 'active' AND starts_with(schedule_expr, $1)
 GROUP BY schedule_expr
 ORDER BY schedule_expr
 LIMIT $2

-- name: list_topics
-- takes: text, text, timestamptz, int4
-- gives: topic text
-- Topics from $1 up to before $2, byte by byte, of which anything was published since $3. From one topic the index leads to
-- the next, however many events each has; at most $4 are looked at.
WITH RECURSIVE known (topic, place) AS (
    (SELECT topic, 1 FROM event WHERE topic ~>=~ $1 AND topic ~<~ $2 ORDER BY topic USING ~<~ LIMIT 1)
    UNION ALL
    SELECT following.topic, known.place + 1
      FROM known
     CROSS JOIN LATERAL (
            SELECT e.topic FROM event e
             WHERE e.topic ~>~ known.topic AND e.topic ~<~ $2
             ORDER BY e.topic USING ~<~
             LIMIT 1) AS following
     WHERE known.place < $4
)
SELECT known.topic
  FROM known
 WHERE EXISTS (SELECT FROM event e WHERE e.topic = known.topic AND e.published_at >= $3)

-- name: count_listeners
-- takes: text[]
-- gives: pattern text, agent_id uuid, listeners int8
SELECT t.schedule_expr AS pattern, t.agent_id, count(*) AS listeners
  FROM task t
  JOIN agent a ON a.id = t.agent_id AND a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin']
 WHERE t.schedule_expr = ANY ($1) AND t.schedule_kind = 'event' AND t.status = 'active'
 GROUP BY t.schedule_expr, t.agent_id

-- name: count_listeners_to_any
-- takes: text[]
-- gives: pattern text, agent_id uuid, listeners int8
-- The same, and of every pattern.
SELECT t.schedule_expr AS pattern, t.agent_id, count(*) AS listeners
  FROM task t
  JOIN agent a ON a.id = t.agent_id AND a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin']
 WHERE (t.schedule_expr = ANY ($1) OR strpos(t.schedule_expr, '*') > 0) AND t.schedule_kind = 'event' AND t.status = 'active'
 GROUP BY t.schedule_expr, t.agent_id

-- name: count_published
-- takes: text[], timestamptz, int8
-- gives: topic text, published int8, last_published_at timestamptz
-- Events since $2, counted up to $3.
SELECT wanted.topic, counted.published, newest.published_at AS last_published_at
  FROM unnest($1::text[]) AS wanted (topic)
 CROSS JOIN LATERAL (
        SELECT count(*) AS published
          FROM (SELECT FROM event e WHERE e.topic = wanted.topic AND e.published_at >= $2 LIMIT $3) AS found) AS counted
 CROSS JOIN LATERAL (
        SELECT e.published_at FROM event e
         WHERE e.topic = wanted.topic
         ORDER BY e.published_at DESC, e.id DESC
         LIMIT 1) AS newest

-- name: find_published_at
-- takes: uuid
-- gives: published_at timestamptz
SELECT published_at FROM event WHERE id = $1

-- name: list_recent
-- takes: timestamptz, uuid, timestamptz, uuid, int8, int8
-- gives: id uuid, topic text, payload jsonb, is_payload_omitted bool, attributes jsonb, source_agent_id uuid
-- gives: published_by text, published_at timestamptz, depth int4
-- Newest first, between ($1, $2) and ($3, $4), both excluded; payloads as long as all of them together stay below $6 bytes.
SELECT id, topic, CASE WHEN bytes <= $6 THEN payload END AS payload, bytes > $6 AS is_payload_omitted, attributes,
       source_agent_id, published_by, published_at, depth
  FROM (SELECT newest.*, sum(octet_length(newest.payload::text)) OVER (ORDER BY newest.published_at DESC, newest.id DESC) AS bytes
          FROM (SELECT e.*
                  FROM event e
                 WHERE (e.published_at, e.id) > ($1, $2) AND (e.published_at, e.id) < ($3, $4)
                 ORDER BY e.published_at DESC, e.id DESC
                 LIMIT $5) AS newest) AS measured
 ORDER BY published_at DESC, id DESC

-- name: list_recent_of_topics
-- takes: timestamptz, uuid, timestamptz, uuid, int8, int8, text[]
-- gives: id uuid, topic text, payload jsonb, is_payload_omitted bool, attributes jsonb, source_agent_id uuid
-- gives: published_by text, published_at timestamptz, depth int4
-- The same of these topics: from the index of each no more than could be shown.
SELECT id, topic, CASE WHEN bytes <= $6 THEN payload END AS payload, bytes > $6 AS is_payload_omitted, attributes,
       source_agent_id, published_by, published_at, depth
  FROM (SELECT newest.*, sum(octet_length(newest.payload::text)) OVER (ORDER BY newest.published_at DESC, newest.id DESC) AS bytes
          FROM (SELECT of_topic.*
                  FROM unnest($7::text[]) AS wanted (topic)
                 CROSS JOIN LATERAL (
                        SELECT e.*
                          FROM event e
                         WHERE e.topic = wanted.topic
                           AND (e.published_at, e.id) > ($1, $2) AND (e.published_at, e.id) < ($3, $4)
                         ORDER BY e.published_at DESC, e.id DESC
                         LIMIT $5) AS of_topic
                 ORDER BY of_topic.published_at DESC, of_topic.id DESC
                 LIMIT $5) AS newest) AS measured
 ORDER BY published_at DESC, id DESC

-- name: count_recent
-- takes: timestamptz, uuid, int8
-- gives: events int8
-- Those after ($1, $2), counted up to $3.
SELECT count(*) AS events
  FROM (SELECT FROM event e WHERE (e.published_at, e.id) > ($1, $2) LIMIT $3) AS found

-- name: count_recent_of_topics
-- takes: timestamptz, uuid, int8, text[]
-- gives: events int8
SELECT count(*) AS events
  FROM (SELECT
          FROM unnest($4::text[]) AS wanted (topic)
         CROSS JOIN LATERAL (
                SELECT FROM event e WHERE e.topic = wanted.topic AND (e.published_at, e.id) > ($1, $2) LIMIT $3) AS of_topic
         LIMIT $3) AS found

-- name: list_range
-- takes: timestamptz, uuid, timestamptz, int8, text[]
-- gives: id uuid, topic text, payload text, source_agent_id uuid, published_by text, depth int4, traceparent text
-- gives: attributes text, published_at timestamptz
-- Of these topics, in the order of publishing, after ($1, $2) and before $3.
SELECT of_topic.id, of_topic.topic, of_topic.payload::text AS payload, of_topic.source_agent_id, of_topic.published_by,
       of_topic.depth, of_topic.traceparent, of_topic.attributes::text AS attributes, of_topic.published_at
  FROM unnest($5::text[]) AS wanted (topic)
 CROSS JOIN LATERAL (
        SELECT e.*
          FROM event e
         WHERE e.topic = wanted.topic AND (e.published_at, e.id) > ($1, $2) AND e.published_at < $3
         ORDER BY e.published_at, e.id
         LIMIT $4) AS of_topic
 ORDER BY of_topic.published_at, of_topic.id
 LIMIT $4

-- name: hold_task
-- takes: uuid, uuid
-- gives: id uuid, agent_id uuid, schedule_rev int4, priority int2, concurrency_key text, schedule_expr text
-- gives: event_filter text, schedule_kind text, status text, may_read bool, now timestamptz
-- Until the commit, against changes; $2: whose it must be, unless null.
SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.schedule_kind,
       t.status, a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin'] AS may_read, now() AS now
  FROM task t
  JOIN agent a ON a.id = t.agent_id
 WHERE t.id = $1 AND ($2::uuid IS NULL OR t.agent_id = $2)
   FOR SHARE OF t

-- name: insert_replayed
-- takes: uuid, uuid, int4, int2, text, text, text, uuid[], timestamptz[], text[]
-- Work of the task $1 and the runs that show it, one for each event, in their order.
WITH work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, event,
                          concurrency_key, traceparent)
    SELECT made.id, $1, $2, $3, made.at, made.at, $4, 'backfill', made.event::jsonb, $5, $6
      FROM unnest($8::uuid[], $9::timestamptz[], $10::text[]) AS made (id, at, event)
    RETURNING id, task_id, agent_id, scheduled_for, source, event
)
INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, event, trace_id)
SELECT id, task_id, agent_id, scheduled_for, 'queued', source, event, $7 FROM work

-- name: find_end_of_batch
-- takes: timestamptz, int8
-- gives: published_at timestamptz
-- Of the relayed events published before $1: the first that one batch of so many leaves alone.
SELECT published_at
  FROM event
 WHERE published_at < $1 AND relayed_at IS NOT NULL
 ORDER BY published_at
OFFSET $2
 LIMIT 1

-- name: remove_events
-- takes: timestamptz
-- gives: removed int8
-- What Redis was not told of stays.
WITH gone AS (
    DELETE FROM event WHERE published_at < $1 AND relayed_at IS NOT NULL RETURNING id
), forgotten AS (
    DELETE FROM event_key known USING gone WHERE known.event_id = gone.id
)
SELECT count(*) AS removed FROM gone

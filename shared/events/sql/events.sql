-- name: list_listeners
-- takes: text[], timestamptz
-- gives: id uuid, agent_id uuid, schedule_rev int4, priority int2, concurrency_key text, schedule_expr text
-- gives: event_filter text, timezone text, starts_at timestamptz, ends_at timestamptz, exclusions text, max_runs int4
-- gives: now timestamptz
-- The tasks that wait for one of these patterns. Events are a bus that all agents share: their owner must be allowed to
-- read it.
SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.timezone,
       t.starts_at, t.ends_at, t.exclusions::text AS exclusions, t.max_runs, coalesce($2, now()) AS now
  FROM task t
  JOIN agent a ON a.id = t.agent_id AND a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin']
 WHERE t.schedule_expr = ANY ($1) AND t.schedule_kind = 'event' AND t.status = 'active'

-- name: list_listeners_to_any
-- takes: text[], timestamptz
-- gives: id uuid, agent_id uuid, schedule_rev int4, priority int2, concurrency_key text, schedule_expr text
-- gives: event_filter text, timezone text, starts_at timestamptz, ends_at timestamptz, exclusions text, max_runs int4
-- gives: now timestamptz
-- Topics of so many segments, or so many topics, that their patterns are not enumerated: every pattern is looked at.
SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.timezone,
       t.starts_at, t.ends_at, t.exclusions::text AS exclusions, t.max_runs, coalesce($2, now()) AS now
  FROM task t
  JOIN agent a ON a.id = t.agent_id AND a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin']
 WHERE (t.schedule_expr = ANY ($1) OR strpos(t.schedule_expr, '*') > 0) AND t.schedule_kind = 'event' AND t.status = 'active'

-- name: hold_listeners
-- takes: uuid[], timestamptz
-- gives: id uuid, agent_id uuid, schedule_rev int4, priority int2, concurrency_key text, schedule_expr text
-- gives: event_filter text, timezone text, starts_at timestamptz, ends_at timestamptz, exclusions text, max_runs int4
-- gives: now timestamptz
-- As they are now, until the commit: a pause either comes before this and keeps the work from being made, or after it and
-- takes it back. Those whose runs are counted are held alone, always first and in order, so that no two publishers wait for
-- each other in a circle.
WITH counted AS MATERIALIZED (
    SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.timezone,
           t.starts_at, t.ends_at, t.exclusions, t.max_runs
      FROM task t
     WHERE t.id = ANY ($1) AND t.max_runs IS NOT NULL AND t.schedule_kind = 'event' AND t.status = 'active'
     ORDER BY t.id
       FOR NO KEY UPDATE
), shared AS MATERIALIZED (
    SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.timezone,
           t.starts_at, t.ends_at, t.exclusions, t.max_runs
      FROM task t
     WHERE t.id = ANY ($1) AND t.max_runs IS NULL AND t.schedule_kind = 'event' AND t.status = 'active'
     ORDER BY t.id
       FOR SHARE
)
SELECT id, agent_id, schedule_rev, priority, concurrency_key, schedule_expr, event_filter, timezone, starts_at, ends_at,
       exclusions::text AS exclusions, max_runs, coalesce($2, now()) AS now
  FROM (TABLE counted UNION ALL TABLE shared) AS held

-- name: count_runs_left
-- takes: uuid[]
-- gives: id uuid, runs_left int4
-- Of tasks with max_runs that hold_listeners held. Read no further than that many runs.
SELECT t.id, (t.max_runs - runs.made)::int AS runs_left
  FROM task t
 CROSS JOIN LATERAL (
        SELECT count(*) AS made
          FROM (SELECT FROM task_run run
                 WHERE run.task_id = t.id AND run.source = 'event' AND run.skip_reason IS NULL
                 LIMIT t.max_runs) AS counted) AS runs
 WHERE t.id = ANY ($1) AND t.max_runs IS NOT NULL

-- name: insert_events
-- takes: uuid[], text[], text[], uuid[], text[], int4[], text[], text[], timestamptz
-- takes: uuid[], uuid[], uuid[], uuid[], int4[], int2[], text[], text[]
-- gives: id uuid, published_at timestamptz
-- The events, and work with the run that shows it for each listener ($10 and on, each with the event it hears): nothing of an
-- event whose id was published before. They are a microsecond apart, so that the queue keeps their order.
WITH published AS (
    INSERT INTO event (id, topic, payload, source_agent_id, published_by, depth, traceparent, attributes, published_at)
    SELECT e.id, e.topic, e.payload::jsonb, e.source_agent_id, e.published_by, e.depth, e.traceparent, e.attributes::jsonb,
           coalesce($9, now()) + (e.place - 1) * interval '1 microsecond'
      FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::int4[], $7::text[], $8::text[])
           WITH ORDINALITY
        AS e (id, topic, payload, source_agent_id, published_by, depth, traceparent, attributes, place)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, topic, payload, source_agent_id, published_by, depth, traceparent, attributes, published_at
), work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, event,
                          concurrency_key, traceparent)
    SELECT listener.id, listener.task_id, listener.agent_id, listener.schedule_rev, p.published_at, p.published_at,
           listener.priority, 'event',
           jsonb_build_object('id', p.id, 'topic', p.topic, 'payload', p.payload, 'source_agent_id', p.source_agent_id,
                              'published_by', p.published_by, 'published_at', p.published_at, 'depth', p.depth)
               || CASE WHEN p.attributes IS NULL THEN '{}' ELSE jsonb_build_object('attributes', p.attributes) END,
           listener.concurrency_key, p.traceparent
      FROM unnest($10::uuid[], $11::uuid[], $12::uuid[], $13::uuid[], $14::int4[], $15::int2[], $16::text[])
        AS listener (id, event_id, task_id, agent_id, schedule_rev, priority, concurrency_key)
      JOIN published p ON p.id = listener.event_id
    RETURNING id, task_id, agent_id, scheduled_for, source, event
), shown AS (
    INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, event, trace_id)
    SELECT w.id, w.task_id, w.agent_id, w.scheduled_for, 'queued', w.source, w.event, traced.trace_id
      FROM work w
      JOIN unnest($10::uuid[], $17::text[]) AS traced (id, trace_id) ON traced.id = w.id
)
SELECT id, published_at FROM published

-- name: find_event
-- takes: uuid
-- gives: topic text, payload text, source_agent_id uuid, published_by text, depth int4, traceparent text, attributes text
-- gives: published_at timestamptz
SELECT topic, payload::text AS payload, source_agent_id, published_by, depth, traceparent, attributes::text AS attributes,
       published_at
  FROM event
 WHERE id = $1

-- name: count_listeners
-- takes: uuid, uuid, text
-- gives: listeners int4
-- The runs that an event made: their ids begin with the millisecond of its publication, which $1 and $2 enclose.
SELECT count(*)::int AS listeners
  FROM task_run
 WHERE id >= $1 AND id < $2 AND source = 'event' AND event ->> 'id' = $3

-- name: list_unrelayed
-- takes: int8, float8, timestamptz
-- gives: id uuid, topic text, payload text, source_agent_id uuid, published_by text, depth int4, traceparent text
-- gives: attributes text, published_at timestamptz
-- In the order of publishing; older than $2 seconds: whoever published it is about to relay it himself until then.
SELECT id, topic, payload::text AS payload, source_agent_id, published_by, depth, traceparent, attributes::text AS attributes,
       published_at
  FROM event
 WHERE relayed_at IS NULL AND published_at <= coalesce($3, now()) - make_interval(secs => $2)
 ORDER BY published_at, id
 LIMIT $1

-- name: list_to_relay
-- takes: timestamptz, int8
-- gives: id uuid, source_agent_id uuid
-- What is to be relayed up to this time, in the order of publishing.
SELECT id, source_agent_id
  FROM event
 WHERE relayed_at IS NULL AND published_at <= $1
 ORDER BY published_at, id
 LIMIT $2

-- name: mark_relayed
-- takes: uuid[]
UPDATE event SET relayed_at = now() WHERE id = ANY ($1) AND relayed_at IS NULL

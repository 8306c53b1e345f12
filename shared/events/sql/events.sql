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

-- name: list_listeners_to_long_topic
-- takes: text, timestamptz
-- gives: id uuid, agent_id uuid, schedule_rev int4, priority int2, concurrency_key text, schedule_expr text
-- gives: event_filter text, timezone text, starts_at timestamptz, ends_at timestamptz, exclusions text, max_runs int4
-- gives: now timestamptz
-- A topic of so many segments that its patterns are not enumerated: every pattern is looked at.
SELECT t.id, t.agent_id, t.schedule_rev, t.priority, t.concurrency_key, t.schedule_expr, t.event_filter, t.timezone,
       t.starts_at, t.ends_at, t.exclusions::text AS exclusions, t.max_runs, coalesce($2, now()) AS now
  FROM task t
  JOIN agent a ON a.id = t.agent_id AND a.status = 'active' AND a.scopes && ARRAY['events:read', 'admin']
 WHERE (t.schedule_expr = $1 OR strpos(t.schedule_expr, '*') > 0) AND t.schedule_kind = 'event' AND t.status = 'active'

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

-- name: list_used_up
-- takes: uuid[]
-- gives: id uuid
-- Of tasks that hold_listeners held, those that have run max_runs times. Read no further than that.
SELECT t.id
  FROM task t
 CROSS JOIN LATERAL (
        SELECT count(*) AS made
          FROM (SELECT FROM task_run run
                 WHERE run.task_id = t.id AND run.source = 'event' AND run.skip_reason IS NULL
                 LIMIT t.max_runs) AS counted) AS runs
 WHERE t.id = ANY ($1) AND runs.made >= t.max_runs

-- name: insert_event
-- takes: uuid, text, text, uuid, text, int4, text, timestamptz, text, uuid[], uuid[], uuid[], int4[], int2[], text[]
-- gives: published_at timestamptz
-- The event, and work with the run that shows it for each listener: all of it, or nothing when an event with this id was
-- published before.
WITH published AS (
    INSERT INTO event (id, topic, payload, source_agent_id, published_by, depth, traceparent, published_at)
    VALUES ($1, $2, $3::text::jsonb, $4, $5, $6, $7, coalesce($8, now()))
    ON CONFLICT (id) DO NOTHING
    RETURNING id, topic, payload, source_agent_id, published_by, depth, traceparent, published_at
), work AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, event,
                          concurrency_key, traceparent)
    SELECT listener.id, listener.task_id, listener.agent_id, listener.schedule_rev, p.published_at, p.published_at,
           listener.priority, 'event',
           jsonb_build_object('id', p.id, 'topic', p.topic, 'payload', p.payload, 'source_agent_id', p.source_agent_id,
                              'published_by', p.published_by, 'published_at', p.published_at, 'depth', p.depth),
           listener.concurrency_key, p.traceparent
      FROM published p
     CROSS JOIN unnest($10::uuid[], $11::uuid[], $12::uuid[], $13::int4[], $14::int2[], $15::text[])
        AS listener (id, task_id, agent_id, schedule_rev, priority, concurrency_key)
    RETURNING id, task_id, agent_id, scheduled_for, source, event
), shown AS (
    INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, event, trace_id)
    SELECT id, task_id, agent_id, scheduled_for, 'queued', source, event, $9 FROM work
)
SELECT published_at FROM published

-- name: find_event
-- takes: uuid
-- gives: topic text, payload text, source_agent_id uuid, published_by text, depth int4, traceparent text
-- gives: published_at timestamptz
SELECT topic, payload::text AS payload, source_agent_id, published_by, depth, traceparent, published_at
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
-- gives: published_at timestamptz
-- Older than $2 seconds: whoever published it is about to relay it himself until then.
SELECT id, topic, payload::text AS payload, source_agent_id, published_by, depth, traceparent, published_at
  FROM event
 WHERE relayed_at IS NULL AND published_at <= coalesce($3, now()) - make_interval(secs => $2)
 ORDER BY id
 LIMIT $1

-- name: mark_relayed
-- takes: uuid[]
UPDATE event SET relayed_at = now() WHERE id = ANY ($1) AND relayed_at IS NULL

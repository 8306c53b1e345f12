-- name: claim
-- takes: int8, text, float8, timestamptz
-- gives: id uuid, fence int8, attempt int4, task_id uuid, agent_id uuid, scheduled_for timestamptz, source text
-- gives: event jsonb, traceparent text, claimed_at timestamptz, is_cancel_requested bool, payload jsonb
-- gives: timeout_seconds int4, max_retries int4, backoff_strategy text
-- One index range per priority, highest first, read only as far as the limit asks. MATERIALIZED, because a sub-select may be
-- evaluated again and would then lock other rows than it returned. Compared with now(), never with clock_timestamp(): that one
-- is volatile, and no index bounds it.
WITH picked AS MATERIALIZED (
    SELECT due.id, due.locked_by
      FROM generate_series(1, 9) AS level (priority)
     CROSS JOIN LATERAL (
            SELECT w.id, w.locked_by
              FROM due_work w
             WHERE w.priority = level.priority
               AND w.available_at <= coalesce($4, now())
             ORDER BY w.available_at, w.id
             LIMIT $1
               FOR UPDATE SKIP LOCKED) AS due
     LIMIT $1
), leased AS (
    UPDATE due_work w
       SET attempt = w.attempt + 1,
           fence = w.fence + 1,
           locked_by = $2,
           locked_until = coalesce($4, now()) + make_interval(secs => $3)
      FROM picked p
     WHERE w.id = p.id
    RETURNING w.id, w.fence, w.attempt, w.task_id, w.agent_id, w.scheduled_for, w.source, w.event, w.traceparent,
              w.locked_until, p.locked_by AS lost_by
), started AS (
    INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, attempt, source, lease_owner, leased_until,
                                 started_at)
    SELECT id, task_id, agent_id, scheduled_for, 'running', attempt, source, $2, locked_until, coalesce($4, now())
      FROM leased
    ON CONFLICT (id) DO UPDATE
       SET status = 'running', attempt = excluded.attempt, lease_owner = excluded.lease_owner,
           leased_until = excluded.leased_until, started_at = coalesce(run.started_at, excluded.started_at)
    RETURNING run.id, run.cancel_requested_at
), lost AS (
    INSERT INTO run_attempt (run_id, fence, attempt, executor, finished_at, error)
    SELECT id, fence - 1, attempt - 1, lost_by, coalesce($4, now()),
           jsonb_build_object('class', 'lease_lost', 'message', 'The executor stopped renewing its lease.',
                              'retryable', true)
      FROM leased
     WHERE lost_by IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT l.id, l.fence, l.attempt, l.task_id, l.agent_id, l.scheduled_for, l.source, l.event, l.traceparent,
       coalesce($4, now()) AS claimed_at, s.cancel_requested_at IS NOT NULL AS is_cancel_requested, t.payload,
       t.timeout_seconds, t.max_retries, t.backoff_strategy
  FROM leased l
  JOIN started s ON s.id = l.id
  JOIN task t ON t.id = l.task_id

-- name: seconds_until_next
-- gives: seconds float8
-- How long until any row becomes available: negative for one that is, null for an empty queue.
SELECT extract(epoch FROM min(soonest.available_at) - now())::float8 AS seconds
  FROM generate_series(1, 9) AS level (priority)
 CROSS JOIN LATERAL (
        SELECT w.available_at
          FROM due_work w
         WHERE w.priority = level.priority
         ORDER BY w.available_at, w.id
         LIMIT 1) AS soonest

-- name: renew_leases
-- takes: uuid[], int8[], float8
-- gives: id uuid, fence int8, is_cancel_requested bool
-- A row that was released meanwhile is not leased any more, though its fence is the same: to renew it would put its retry
-- off. Rows are locked in the order of their ids, as in record_outcomes, so that the two never wait for each other in a circle.
WITH held AS MATERIALIZED (
    SELECT w.id
      FROM due_work w
      JOIN unnest($1::uuid[], $2::bigint[]) AS mine (id, fence) ON mine.id = w.id AND mine.fence = w.fence
     WHERE w.locked_until IS NOT NULL
     ORDER BY w.id
       FOR UPDATE OF w
), renewed AS (
    UPDATE due_work w
       SET locked_until = now() + make_interval(secs => $3)
      FROM held
     WHERE w.id = held.id
    RETURNING w.id, w.fence
)
SELECT renewed.id, renewed.fence, run.cancel_requested_at IS NOT NULL AS is_cancel_requested
  FROM renewed
  LEFT JOIN task_run run ON run.id = renewed.id

-- name: record_outcomes
-- takes: uuid[], int8[], text[], bool[], float8[], bool[], jsonb[], jsonb[], text[], timestamptz[]
-- gives: id uuid
-- Together: the queue row goes or moves to its next time, the run gets its outcome, a failed attempt its record. A row whose
-- fence has moved on, or that was released already, is left alone and missing from the answer.
WITH outcome AS MATERIALIZED (
    SELECT o.*, w.attempt, w.locked_by
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::boolean[], $5::float8[], $6::boolean[], $7::jsonb[],
                  $8::jsonb[], $9::text[], $10::timestamptz[])
        AS o (id, fence, status, success, retry_in_seconds, is_handed_back, output, error, trace_id, started_at)
      JOIN due_work w ON w.id = o.id AND w.fence = o.fence
     WHERE w.locked_until IS NOT NULL
     ORDER BY o.id
       FOR UPDATE OF w
), finished AS (
    DELETE FROM due_work w USING outcome o WHERE w.id = o.id AND o.retry_in_seconds IS NULL
), moved AS (
    UPDATE due_work w
       SET run_at = now() + make_interval(secs => o.retry_in_seconds),
           attempt = w.attempt - o.is_handed_back::int,
           locked_by = NULL,
           locked_until = NULL
      FROM outcome o
     WHERE w.id = o.id AND o.retry_in_seconds IS NOT NULL
), failed AS (
    INSERT INTO run_attempt (run_id, fence, attempt, executor, started_at, finished_at, error)
    SELECT id, fence, attempt, locked_by, started_at, now(), error FROM outcome WHERE error IS NOT NULL
    ON CONFLICT DO NOTHING
)
UPDATE task_run run
   SET status = o.status,
       success = o.success,
       attempt = o.attempt - o.is_handed_back::int,
       finished_at = CASE WHEN o.retry_in_seconds IS NULL THEN now() END,
       output = o.output,
       error = o.error,
       trace_id = o.trace_id
  FROM outcome o
 WHERE run.id = o.id
RETURNING run.id

-- name: claim
-- takes: int8, text, float8, timestamptz
-- gives: id uuid, fence int8, attempt int4, task_id uuid, agent_id uuid, schedule_rev int4, scheduled_for timestamptz
-- gives: source text, event jsonb, traceparent text, unended_starts int4, claimed_at timestamptz
-- gives: is_cancel_requested bool, is_admitted bool, payload jsonb, title text, tags text[], task_version int4
-- gives: timeout_seconds int4, max_retries int4, backoff_strategy text, pause_after_failures int4, on_success jsonb, on_failure jsonb
-- One index range per priority, the most urgent first, read only as far as the limit asks. MATERIALIZED, because a sub-select
-- may be evaluated again and would then lock other rows than it returned. Compared with now(), never with clock_timestamp():
-- that one is volatile, and no index bounds it.
-- Priorities are strict, but age: each 30 s that the oldest row of a priority has waited lift it by one.
-- A row that nothing limits is admitted here, and starts: only then it counts as an attempt. Any other is only leased, and
-- who claimed it decides. Of a task that must not overlap itself, the unique index on serial_key admits one.
WITH level AS MATERIALIZED (
    SELECT p.priority,
           p.priority - floor(extract(epoch FROM coalesce($4, now()) - oldest.available_at) / 30) AS urgency
      FROM generate_series(1, 9) AS p (priority)
     CROSS JOIN LATERAL (
            SELECT w.available_at
              FROM due_work w
             WHERE w.priority = p.priority
               AND w.available_at <= coalesce($4, now())
             ORDER BY w.available_at, w.id
             LIMIT 1) AS oldest
), picked AS MATERIALIZED (
    SELECT due.*
      FROM (SELECT priority FROM level ORDER BY urgency, priority) AS urgent
     CROSS JOIN LATERAL (
            SELECT w.id, w.task_id, w.agent_id, w.locked_by, w.run_at, w.scheduled_for, w.source, w.serial_key,
                   w.concurrency_key, w.is_rate_reserved, w.unended_starts, w.started_at
              FROM due_work w
             WHERE w.priority = urgent.priority
               AND w.available_at <= coalesce($4, now())
             ORDER BY w.available_at, w.id
             LIMIT $1
               FOR UPDATE SKIP LOCKED) AS due
     LIMIT $1
), judged AS MATERIALIZED (
    SELECT p.id, p.locked_by AS lost_by, t.payload, t.title, t.tags, t.version, t.timeout_seconds,
           t.max_retries, t.backoff_strategy, t.pause_after_failures, t.on_success, t.on_failure,
           CASE WHEN p.started_at IS NOT NULL THEN p.serial_key
                WHEN t.overlap_policy <> 'allow_all' AND p.source <> 'hook' THEN p.task_id END AS serial_key,
           p.unended_starts = 0
           AND p.concurrency_key IS NULL
           AND (p.source = 'hook' OR p.started_at IS NOT NULL
                OR (t.rate_limit IS NULL
                    OR p.is_rate_reserved AND coalesce($4, now()) <= p.run_at + interval '1 s')
                   AND (t.expires_after_seconds IS NULL
                        OR coalesce($4, now()) <= p.scheduled_for + make_interval(secs => t.expires_after_seconds))
                   AND (t.overlap_policy = 'allow_all'
                        OR row_number() OVER (PARTITION BY p.task_id ORDER BY p.run_at, p.id) = 1
                           AND NOT EXISTS (SELECT FROM due_work other WHERE other.serial_key = p.task_id)
                           AND NOT EXISTS (SELECT FROM due_work other
                                            WHERE other.task_id = p.task_id AND other.held_until IS NOT NULL
                                              AND other.id <> p.id)))
           AND EXISTS (SELECT
                         FROM agent a
                        WHERE a.id = p.agent_id AND a.status = 'active'
                          AND (p.source = 'hook' OR p.started_at IS NOT NULL OR NOT a.limits ? 'runs_per_day')
                      ) AS is_admitted
      FROM picked p
      JOIN task t ON t.id = p.task_id
), leased AS (
    UPDATE due_work w
       SET attempt = w.attempt + j.is_admitted::int,
           fence = w.fence + 1,
           locked_by = $2,
           locked_until = coalesce($4, now()) + make_interval(secs => $3),
           held_until = NULL,
           started_at = CASE WHEN j.is_admitted THEN coalesce(w.started_at, $4, now()) ELSE w.started_at END,
           serial_key = CASE WHEN j.is_admitted THEN j.serial_key ELSE w.serial_key END,
           unended_starts = w.unended_starts + j.is_admitted::int,
           holds_slot = false,
           is_answered = false
      FROM judged j
     WHERE w.id = j.id
    RETURNING w.id, w.fence, w.attempt, w.task_id, w.agent_id, w.schedule_rev, w.scheduled_for, w.source, w.event,
              w.traceparent, w.unended_starts, w.locked_until, j.lost_by, j.is_admitted, j.payload, j.title, j.tags,
              j.version, j.timeout_seconds, j.max_retries, j.backoff_strategy, j.pause_after_failures, j.on_success, j.on_failure
), started AS (
    INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, attempt, source, event, lease_owner,
                                 leased_until, started_at)
    SELECT id, task_id, agent_id, scheduled_for, 'running', attempt, source, event, $2, locked_until,
           coalesce($4, now())
      FROM leased
     WHERE is_admitted
    ON CONFLICT (id) DO UPDATE
       SET status = 'running', attempt = excluded.attempt, lease_owner = excluded.lease_owner,
           leased_until = excluded.leased_until, started_at = coalesce(run.started_at, excluded.started_at),
           next_attempt_at = NULL
    RETURNING run.id, run.cancel_requested_at
), lost AS (
    INSERT INTO run_attempt (run_id, fence, attempt, executor, finished_at, error)
    SELECT id, fence - 1, attempt, lost_by, coalesce($4, now()),
           jsonb_build_object('class', 'lease_lost', 'message', 'The executor stopped renewing its lease.',
                              'retryable', true)
      FROM leased
     WHERE lost_by IS NOT NULL AND unended_starts > 0
    ON CONFLICT DO NOTHING
)
SELECT l.id, l.fence, l.attempt, l.task_id, l.agent_id, l.schedule_rev, l.scheduled_for, l.source, l.event, l.traceparent,
       l.unended_starts, coalesce($4, now()) AS claimed_at, s.cancel_requested_at IS NOT NULL AS is_cancel_requested,
       l.is_admitted, l.payload, l.title, l.tags, l.version AS task_version, l.timeout_seconds,
       l.max_retries, l.backoff_strategy, l.pause_after_failures, l.on_success, l.on_failure
  FROM leased l
  LEFT JOIN started s ON s.id = l.id

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
    SELECT leased.id
      FROM (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS given (id, fence) ORDER BY given.id) AS mine
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.id = mine.id AND w.fence = mine.fence AND w.locked_until IS NOT NULL
               FOR UPDATE) AS leased
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
-- takes: uuid[], int8[], text[], bool[], float8[], bool[], jsonb[], jsonb[], text[], timestamptz[], uuid[], jsonb[]
-- takes: uuid[], text[], text[], int4[], bytea[], jsonb[], jsonb[], timestamptz[], timestamptz[], text[], float8[], bool[]
-- gives: id uuid, let_go int8
-- Together: the queue row goes, or moves to its next time; the run gets its outcome, a failed attempt its record, the
-- journal its steps; what follows the outcome is queued; and whatever stood back for this run may go. A row whose fence has
-- moved on, or that was released already, is left alone and missing from the answer. The ids come in their order, in which
-- the rows are locked, each found by its id: joined, few leased rows in the statistics make the planner read all of them
-- for each outcome.
WITH outcome AS MATERIALIZED (
    SELECT o.*, w.*, o.is_attempt_kept::int AS attempts_undone
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::boolean[], $5::float8[], $6::boolean[], $7::jsonb[],
                  $8::jsonb[], $9::text[], $10::timestamptz[], $11::uuid[], $12::jsonb[], $24::boolean[])
        AS o (id, fence, status, success, retry_in_seconds, is_attempt_kept, output, error, trace_id, began_at, hook_id,
              hook_event, is_unstarted)
     CROSS JOIN LATERAL (
            SELECT d.attempt, d.locked_by, d.is_answered, d.task_id, d.agent_id, d.schedule_rev, d.scheduled_for,
                   d.priority, d.traceparent, d.concurrency_key
              FROM due_work d
             WHERE d.id = o.id AND d.fence = o.fence AND d.locked_until IS NOT NULL
               FOR UPDATE) AS w
), finished AS (
    DELETE FROM due_work w USING outcome o WHERE w.id = o.id AND o.retry_in_seconds IS NULL
), moved AS (
    UPDATE due_work w
       SET run_at = CASE WHEN o.status = 'waiting' AND o.is_answered THEN now()
                         ELSE now() + make_interval(secs => o.retry_in_seconds) END,
           attempt = w.attempt - o.attempts_undone,
           -- What was handed back before it began may still be what killed the executor before.
           unended_starts = CASE WHEN o.is_unstarted THEN w.unended_starts ELSE 0 END,
           holds_slot = false,
           locked_by = NULL,
           locked_until = NULL
      FROM outcome o
     WHERE w.id = o.id AND o.retry_in_seconds IS NOT NULL
), hooked AS (
    INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source, event, traceparent)
    SELECT hook_id, task_id, agent_id, schedule_rev, scheduled_for, now(), priority, 'hook', hook_event, traceparent
      FROM outcome
     WHERE hook_id IS NOT NULL
    ON CONFLICT (id) DO NOTHING
), waiter AS MATERIALIZED (
    SELECT next.id
      FROM outcome o
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.task_id = o.task_id AND w.held_until IS NOT NULL
             ORDER BY w.run_at, w.id
             LIMIT 1
               FOR UPDATE SKIP LOCKED) AS next
     WHERE o.retry_in_seconds IS NULL
    UNION ALL
    SELECT next.id
      FROM outcome o
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.agent_id = o.agent_id AND w.concurrency_key = o.concurrency_key AND w.held_until IS NOT NULL
             ORDER BY w.priority, w.run_at, w.id
             LIMIT 1
               FOR UPDATE SKIP LOCKED) AS next
     WHERE o.concurrency_key IS NOT NULL
), let_go AS (
    UPDATE due_work w SET held_until = NULL FROM waiter WHERE w.id = waiter.id
    RETURNING w.id
), failed AS (
    INSERT INTO run_attempt (run_id, fence, attempt, executor, started_at, finished_at, error)
    SELECT id, fence, attempt, locked_by, began_at, now(), error FROM outcome WHERE error IS NOT NULL
    ON CONFLICT DO NOTHING
), journaled AS (
    INSERT INTO run_step AS step (run_id, step_id, status, attempt, input_digest, output, error, started_at, finished_at,
                                  wait_kind, deadline_at)
    SELECT s.run_id, s.step_id, s.status, s.attempt, s.input_digest, s.output, s.error, s.started_at, s.finished_at,
           s.wait_kind, now() + make_interval(secs => s.wait_seconds)
      FROM unnest($13::uuid[], $14::text[], $15::text[], $16::int[], $17::bytea[], $18::jsonb[], $19::jsonb[],
                  $20::timestamptz[], $21::timestamptz[], $22::text[], $23::float8[])
        AS s (run_id, step_id, status, attempt, input_digest, output, error, started_at, finished_at, wait_kind,
              wait_seconds)
      JOIN outcome o ON o.id = s.run_id
    ON CONFLICT (run_id, step_id) DO UPDATE
       SET status = excluded.status, attempt = excluded.attempt, input_digest = excluded.input_digest,
           output = excluded.output, error = excluded.error, started_at = excluded.started_at,
           finished_at = excluded.finished_at, wait_kind = excluded.wait_kind, deadline_at = excluded.deadline_at
     WHERE step.finished_at IS NULL
        OR step.status = 'failed' AND (step.attempt < excluded.attempt OR excluded.status = 'failed')
), told AS (
    UPDATE task_run run
       SET status = o.status,
           success = o.success,
           attempt = CASE WHEN o.status = 'waiting' THEN o.attempt ELSE o.attempt - o.attempts_undone END,
           lease_owner = CASE WHEN o.retry_in_seconds IS NULL THEN run.lease_owner END,
           finished_at = CASE WHEN o.retry_in_seconds IS NULL THEN now() END,
           next_attempt_at = CASE WHEN o.retry_in_seconds IS NOT NULL
                                  THEN now() + make_interval(secs => o.retry_in_seconds) END,
           output = o.output,
           -- Whoever asked for the end may have said why.
           error = CASE WHEN o.status = 'canceled' AND run.error ->> 'class' = 'canceled' THEN run.error ELSE o.error END,
           trace_id = o.trace_id
      FROM outcome o
     WHERE run.id = o.id AND NOT o.is_unstarted
)
SELECT id, (SELECT count(*) FROM let_go) AS let_go FROM outcome

-- name: write_steps
-- takes: uuid[], int8[], uuid[], text[], text[], int4[], bytea[], jsonb[], jsonb[], timestamptz[], timestamptz[]
-- gives: id uuid, fence int8
-- The journal between the steps of a run. The lease is held still meanwhile, so that nobody can take the run over between
-- the look at its fence and the write; a run whose fence has moved on is missing from the answer. What was settled from
-- outside stays.
WITH held AS MATERIALIZED (
    SELECT leased.id, leased.fence
      FROM (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS given (id, fence) ORDER BY given.id) AS mine
     CROSS JOIN LATERAL (
            SELECT w.id, w.fence
              FROM due_work w
             WHERE w.id = mine.id AND w.fence = mine.fence AND w.locked_until IS NOT NULL
               FOR SHARE) AS leased
), journaled AS (
    INSERT INTO run_step AS step (run_id, step_id, status, attempt, input_digest, output, error, started_at, finished_at)
    SELECT s.*
      FROM unnest($3::uuid[], $4::text[], $5::text[], $6::int[], $7::bytea[], $8::jsonb[], $9::jsonb[],
                  $10::timestamptz[], $11::timestamptz[])
        AS s (run_id, step_id, status, attempt, input_digest, output, error, started_at, finished_at)
      JOIN held ON held.id = s.run_id
    ON CONFLICT (run_id, step_id) DO UPDATE
       SET status = excluded.status, attempt = excluded.attempt, input_digest = excluded.input_digest,
           output = excluded.output, error = excluded.error, started_at = excluded.started_at,
           finished_at = excluded.finished_at, wait_kind = NULL, deadline_at = NULL
     WHERE step.finished_at IS NULL
        OR step.status = 'failed' AND (step.attempt < excluded.attempt OR excluded.status = 'failed')
)
SELECT id, fence FROM held

-- name: read_journal
-- takes: uuid
-- gives: step_id text, status text, attempt int4, output jsonb, error jsonb, started_at timestamptz
-- gives: finished_at timestamptz, wait_kind text, deadline_at timestamptz
SELECT step_id, status, attempt, output, error, started_at, finished_at, wait_kind, deadline_at
  FROM run_step
 WHERE run_id = $1

-- name: previous_output
-- takes: uuid, uuid
-- gives: output jsonb
-- Of the last run before this one that succeeded.
SELECT output FROM task_run WHERE task_id = $1 AND id < $2 AND success ORDER BY id DESC LIMIT 1

-- name: pause_failing_task
-- takes: uuid, int8, text
-- gives: id uuid
-- The task, then its cursor, then its work, as everybody locks them. What nobody has begun is taken back; of that, what had
-- come due gets its outcome.
WITH failing AS MATERIALIZED (
    SELECT t.id, t.status_note
      FROM task t
     WHERE t.id = $1 AND t.status = 'active'
       AND (SELECT count(*) = $2 AND bool_and(NOT last.success)
              FROM (SELECT run.success
                      FROM task_run run
                     WHERE run.task_id = t.id AND run.success IS NOT NULL AND run.source <> 'hook'
                       AND run.finished_at >= t.active_since
                     ORDER BY run.id DESC
                     LIMIT $2) AS last)
       FOR UPDATE OF t
), stopped AS (
    DELETE FROM schedule_cursor c USING failing WHERE c.task_id = failing.id
), withdrawn AS (
    DELETE FROM due_work w
     USING failing
     WHERE w.task_id = failing.id AND w.locked_until IS NULL AND w.source = 'schedule' AND w.started_at IS NULL
    RETURNING w.id, w.task_id, w.agent_id, w.scheduled_for, w.run_at, w.source
), recorded AS (
    INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, finished_at, skip_reason)
    SELECT id, task_id, agent_id, scheduled_for, 'canceled', source, now(), 'task_paused'
      FROM withdrawn
     WHERE least(scheduled_for, run_at) <= now()
    ON CONFLICT (id) DO UPDATE
       SET status = 'canceled', finished_at = excluded.finished_at, skip_reason = excluded.skip_reason
     WHERE run.finished_at IS NULL
), paused AS (
    UPDATE task t
       SET status = 'paused', status_note = $3, schedule_rev = t.schedule_rev + 1, version = t.version + 1,
           updated_at = now()
      FROM failing
     WHERE t.id = failing.id
    RETURNING t.id
), audited AS (
    INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
    SELECT 'executor', 'task.paused', 'task', id::text, jsonb_build_object('reason', $3::text, 'changed', jsonb_build_object(
               'status', '{"before": "active", "after": "paused"}'::jsonb,
               'status_note', jsonb_build_object('before', status_note, 'after', $3::text)))
      FROM paused JOIN failing USING (id)
)
SELECT id FROM paused

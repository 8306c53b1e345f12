-- name: lock_limits
-- takes: int8[]
-- gives: pg_advisory_xact_lock void
-- One decision at a time for each task and each key, in the order of the numbers that stand for them; what is read after
-- this is what the decision before has left.
SELECT pg_advisory_xact_lock(number) FROM (SELECT unnest($1::bigint[]) AS number ORDER BY number) AS ordered

-- name: read_limits
-- takes: uuid[], int8[]
-- gives: now timestamptz, id uuid, fence int8, task_id uuid, agent_id uuid, run_at timestamptz, scheduled_for timestamptz
-- gives: source text, is_started bool, serial_key uuid, is_agent_active bool, task_status text, is_of_this_revision bool
-- gives: overlap_policy text, concurrency_key text, concurrency_limit int4, expires_after_seconds int4, rate_limit jsonb
-- gives: is_rate_reserved bool, is_behind bool, was_overlapped bool, priority int2, runs_per_day int8
-- Of rows that are still leased under the same fence; they stay so until this transaction ends.
SELECT now() AS now, w.id, w.fence, w.task_id, w.agent_id, w.run_at, w.scheduled_for, w.source,
       w.started_at IS NOT NULL AS is_started, w.serial_key, a.status = 'active' AS is_agent_active,
       t.status AS task_status, w.source <> 'schedule' OR w.schedule_rev = t.schedule_rev AS is_of_this_revision,
       t.overlap_policy, w.concurrency_key, t.concurrency_limit, t.expires_after_seconds, t.rate_limit,
       w.is_rate_reserved AND now() <= w.run_at + interval '1 s' AS is_rate_reserved,
       w.started_at IS NULL AND EXISTS (
               SELECT
                 FROM due_work other
                WHERE other.task_id = w.task_id AND other.held_until IS NOT NULL
                  AND (other.run_at, other.id) < (w.run_at, w.id)) AS is_behind,
       w.started_at IS NULL AND t.overlap_policy = 'skip' AND EXISTS (
               SELECT
                 FROM (SELECT r.id, r.started_at, r.finished_at
                         FROM task_run r
                        WHERE r.task_id = w.task_id AND r.id <> w.id
                        ORDER BY r.id DESC
                        LIMIT 5) AS before
                WHERE before.started_at <= w.run_at + interval '1 s' AND before.finished_at > w.run_at
                  AND NOT EXISTS (SELECT
                                    FROM run_attempt a
                                   WHERE a.run_id = before.id AND a.error ->> 'class' = 'lease_lost'
                                     AND a.finished_at >= w.run_at)) AS was_overlapped,
       w.priority, (a.limits ->> 'runs_per_day')::int8 AS runs_per_day
  FROM (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS given (id, fence) ORDER BY given.id) AS mine
 CROSS JOIN LATERAL (
        SELECT d.*
          FROM due_work d
         WHERE d.id = mine.id AND d.fence = mine.fence AND d.locked_until > now()
           FOR UPDATE) AS w
  JOIN task t ON t.id = w.task_id
  JOIN agent a ON a.id = w.agent_id

-- name: count_waiting
-- takes: uuid[], int8
-- gives: task_id uuid, waiting int8
-- Rows of each task that stand back; counted no further than somebody asks.
SELECT asked.task_id, counted.waiting
  FROM unnest($1::uuid[]) AS asked (task_id)
 CROSS JOIN LATERAL (
        SELECT count(*) AS waiting
          FROM (SELECT FROM due_work w WHERE w.task_id = asked.task_id AND w.held_until IS NOT NULL LIMIT $2) AS seen
       ) AS counted

-- name: read_holders
-- takes: uuid[]
-- gives: task_id uuid, id uuid, started_at timestamptz, seen_at timestamptz, lost_at timestamptz
-- The runs in progress of tasks that must not overlap themselves: when each was last known to be so, and when its executor
-- was last found to be lost. One that no executor has is in progress by what is written here.
SELECT w.task_id, w.id, coalesce(run.started_at, now()) AS started_at,
       CASE WHEN w.locked_until IS NULL THEN now() ELSE greatest(h.beat_at, run.started_at) END AS seen_at,
       (SELECT max(a.finished_at) FROM run_attempt a WHERE a.run_id = w.id AND a.error ->> 'class' = 'lease_lost') AS lost_at
  FROM due_work w
  LEFT JOIN task_run run ON run.id = w.id
  LEFT JOIN worker_heartbeat h ON h.service = 'executor' AND h.instance = w.locked_by
 WHERE w.serial_key = ANY ($1::uuid[])

-- name: count_slots
-- takes: uuid[], text[]
-- gives: agent_id uuid, concurrency_key text, used int8
-- A slot is a lease: one that ran out frees it by itself.
SELECT wanted.agent_id, wanted.concurrency_key, count(w.id) AS used
  FROM unnest($1::uuid[], $2::text[]) AS wanted (agent_id, concurrency_key)
  JOIN due_work w ON w.agent_id = wanted.agent_id AND w.concurrency_key = wanted.concurrency_key
 WHERE w.holds_slot AND w.locked_until > now()
 GROUP BY wanted.agent_id, wanted.concurrency_key

-- name: make_windows
-- takes: uuid[], text[]
INSERT INTO rate_window (agent_id, key, starts)
SELECT agent_id, key, '{}' FROM unnest($1::uuid[], $2::text[]) AS wanted (agent_id, key)
 ORDER BY agent_id, key
ON CONFLICT (agent_id, key) DO NOTHING

-- name: lock_windows
-- takes: uuid[], text[]
-- gives: agent_id uuid, key text, starts timestamptz[]
SELECT w.agent_id, w.key, w.starts
  FROM rate_window w
  JOIN unnest($1::uuid[], $2::text[]) AS wanted (agent_id, key) ON wanted.agent_id = w.agent_id AND wanted.key = w.key
 ORDER BY w.agent_id, w.key
   FOR UPDATE OF w

-- name: write_window
-- takes: uuid, text, timestamptz[]
UPDATE rate_window SET starts = $3, updated_at = now() WHERE agent_id = $1 AND key = $2

-- name: lock_days
-- takes: uuid[]
-- gives: agent_id uuid, runs int4
-- What each of these agents has begun today, by the days of UTC. Locked in order, made where there is none. The day never
-- goes back: a transaction that began before midnight may come after one that began later.
INSERT INTO agent_day AS known (agent_id, day, runs)
SELECT agent_id, (now() AT TIME ZONE 'UTC')::date, 0 FROM unnest($1::uuid[]) AS wanted (agent_id) ORDER BY agent_id
ON CONFLICT (agent_id) DO UPDATE
   SET day = greatest(known.day, excluded.day), runs = CASE WHEN known.day >= excluded.day THEN known.runs ELSE 0 END
RETURNING known.agent_id, known.runs

-- name: write_days
-- takes: uuid[], int4[]
UPDATE agent_day d SET runs = n.runs FROM unnest($1::uuid[], $2::int[]) AS n (agent_id, runs) WHERE d.agent_id = n.agent_id

-- name: start_admitted
-- takes: uuid[], uuid[], bool[], text
-- gives: id uuid, attempt int4, is_cancel_requested bool, unended_starts int4
WITH admitted AS (
    UPDATE due_work w
       SET serial_key = a.serial_key, holds_slot = a.holds_slot, is_rate_reserved = true, attempt = w.attempt + 1,
           unended_starts = w.unended_starts + 1, started_at = coalesce(w.started_at, now())
      FROM unnest($1::uuid[], $2::uuid[], $3::boolean[]) AS a (id, serial_key, holds_slot)
     WHERE w.id = a.id
    RETURNING w.id, w.task_id, w.agent_id, w.scheduled_for, w.attempt, w.source, w.event, w.locked_until, w.unended_starts
), started AS (
    INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, attempt, source, event, lease_owner,
                                 leased_until, started_at)
    SELECT id, task_id, agent_id, scheduled_for, 'running', attempt, source, event, $4, locked_until, now()
      FROM admitted
    ON CONFLICT (id) DO UPDATE
       SET status = 'running', attempt = excluded.attempt, lease_owner = excluded.lease_owner,
           leased_until = excluded.leased_until, started_at = coalesce(run.started_at, excluded.started_at),
           next_attempt_at = NULL
    RETURNING run.id, run.cancel_requested_at
)
SELECT started.id, admitted.attempt, started.cancel_requested_at IS NOT NULL AS is_cancel_requested,
       admitted.unended_starts
  FROM started
  JOIN admitted ON admitted.id = started.id

-- name: put_back
-- takes: uuid[], float8[], timestamptz[]
-- Either stands back for some seconds, or runs at a time that was reserved for it.
UPDATE due_work w
   SET locked_by = NULL,
       locked_until = NULL,
       held_until = now() + make_interval(secs => back.hold_seconds),
       run_at = coalesce(back.run_at, w.run_at),
       is_rate_reserved = w.is_rate_reserved OR back.run_at IS NOT NULL
  FROM unnest($1::uuid[], $2::float8[], $3::timestamptz[]) AS back (id, hold_seconds, run_at)
 WHERE w.id = back.id

-- name: settle_unstarted
-- takes: uuid[], text[], text[], jsonb[]
-- Work that will not be executed gets its outcome.
WITH settled AS (
    DELETE FROM due_work w
     USING unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[]) AS s (id, status, skip_reason, error)
     WHERE w.id = s.id
    RETURNING w.id, w.task_id, w.agent_id, w.scheduled_for, w.source, w.event, s.status, s.skip_reason, s.error
)
INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, event, finished_at, skip_reason, error)
SELECT id, task_id, agent_id, scheduled_for, status, source, event, now(), skip_reason, error FROM settled
ON CONFLICT (id) DO UPDATE
   SET status = excluded.status, success = NULL, finished_at = excluded.finished_at, skip_reason = excluded.skip_reason,
       error = excluded.error
 WHERE run.finished_at IS NULL

-- name: let_go
-- takes: uuid[]
-- What was first in line of these tasks will not run: the next one may look.
WITH next AS MATERIALIZED (
    SELECT waiter.id
      FROM unnest($1::uuid[]) AS ended (task_id)
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.task_id = ended.task_id AND w.held_until IS NOT NULL
             ORDER BY w.run_at, w.id
             LIMIT 1
               FOR UPDATE SKIP LOCKED) AS waiter
)
UPDATE due_work w SET held_until = NULL FROM next WHERE w.id = next.id

-- name: replace_waiting
-- takes: uuid[], uuid[]
-- gives: id uuid
-- Of tasks whose newest occurrence takes the place of all others: what waited before it is skipped.
WITH replaced AS (
    DELETE FROM due_work w
     USING unnest($1::uuid[], $2::uuid[]) AS newest (task_id, id), due_work mine
     WHERE mine.id = newest.id AND w.task_id = newest.task_id AND w.held_until IS NOT NULL AND w.id <> newest.id
       AND (w.run_at, w.id) < (mine.run_at, mine.id)
    RETURNING w.id, w.task_id, w.agent_id, w.scheduled_for, w.source, w.event
)
INSERT INTO task_run AS run (id, task_id, agent_id, scheduled_for, status, source, event, finished_at, skip_reason)
SELECT id, task_id, agent_id, scheduled_for, 'skipped', source, event, now(), 'overlap_replaced' FROM replaced
ON CONFLICT (id) DO UPDATE
   SET status = 'skipped', success = NULL, finished_at = excluded.finished_at, skip_reason = excluded.skip_reason
 WHERE run.finished_at IS NULL
RETURNING run.id

-- name: ask_holders_to_stop
-- takes: uuid[]
-- One that nobody holds ends at once; an executor that has one sees the wish within a second.
WITH ended AS (
    DELETE FROM due_work w WHERE w.id = ANY ($1::uuid[]) AND w.locked_until IS NULL
    RETURNING w.id
), canceled AS (
    UPDATE task_run run
       SET status = 'canceled', success = NULL, finished_at = now(), next_attempt_at = NULL,
           error = jsonb_build_object('class', 'canceled', 'message', 'A newer occurrence of the task took its place.',
                                      'retryable', false)
      FROM ended
     WHERE run.id = ended.id AND run.finished_at IS NULL
)
UPDATE task_run run
   SET cancel_requested_at = coalesce(run.cancel_requested_at, now()),
       error = jsonb_build_object('class', 'canceled', 'message', 'A newer occurrence of the task took its place.',
                                  'retryable', false)
 WHERE run.id = ANY ($1::uuid[]) AND run.finished_at IS NULL AND run.id NOT IN (SELECT id FROM ended)

-- name: absolve
-- takes: uuid[], int8[]
-- The lease was lost, but the executor lives: this was not the end of it.
UPDATE due_work w
   SET unended_starts = w.unended_starts - 1
  FROM unnest($1::uuid[], $2::bigint[]) AS lost (id, fence)
 WHERE w.id = lost.id AND w.fence >= lost.fence AND w.unended_starts > 0

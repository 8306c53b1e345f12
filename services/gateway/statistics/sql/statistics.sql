-- name: sum_up
-- takes: uuid, timestamptz, timestamptz, uuid, uuid
-- gives: succeeded int8, failed int8, dead int8, canceled int8, skipped int8, expired int8, begun int8, executed int8
-- gives: execution_us int8, lateness_us int8, executions int8[], latenesses int8[]
-- Of the subject $1, from the hour $2 to before the hour $3: whole days as far as they are rolled up, hours for the rest, and
-- what no scheduler has counted yet: of the task $4, of the agent $5, or of everything where both are null. One statement, so
-- that what is counted meanwhile is seen once.
WITH days AS MATERIALIZED (
    SELECT CASE WHEN first < after_last THEN first ELSE $3 END AS since,
           CASE WHEN first < after_last THEN after_last ELSE $3 END AS until
      FROM (SELECT date_trunc('day', $2::timestamptz + interval '24 hours' - interval '1 microsecond', 'UTC') AS first,
                   least(date_trunc('day', $3::timestamptz, 'UTC'),
                         days_until + CASE WHEN $1 <= subject_until THEN interval '24 hours' ELSE interval '0' END) AS after_last
              FROM run_rollup_mark) AS whole
), part AS MATERIALIZED (
    SELECT r.*
      FROM run_rollup r
     WHERE r.subject_id = $1 AND r.hours = 24
       AND r.since >= (SELECT since FROM days) AND r.since < (SELECT until FROM days)
    UNION ALL
    SELECT r.*
      FROM run_rollup r
     WHERE r.subject_id = $1 AND r.hours = 1
       AND r.since >= $2 AND r.since < (SELECT since FROM days)
    UNION ALL
    SELECT r.*
      FROM run_rollup r
     WHERE r.subject_id = $1 AND r.hours = 1
       AND r.since >= (SELECT until FROM days) AND r.since < $3
), fresh AS MATERIALIZED (
    SELECT status, execution_us, lateness_us
      FROM run_tally
     WHERE ($4::uuid IS NULL OR task_id = $4) AND ($5::uuid IS NULL OR agent_id = $5)
       AND finished_at >= $2 AND finished_at < $3
), summed AS (
    SELECT sum(succeeded) AS succeeded, sum(failed) AS failed, sum(dead) AS dead, sum(canceled) AS canceled,
           sum(skipped) AS skipped, sum(expired) AS expired, sum(begun) AS begun, sum(executed) AS executed,
           sum(execution_us) AS execution_us, sum(lateness_us) AS lateness_us
      FROM part
), counted AS (
    SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status = 'dead') AS dead, count(*) FILTER (WHERE status = 'canceled') AS canceled,
           count(*) FILTER (WHERE status = 'skipped') AS skipped, count(*) FILTER (WHERE status = 'expired') AS expired,
           count(lateness_us) AS begun, count(execution_us) AS executed, coalesce(sum(execution_us), 0) AS execution_us,
           coalesce(sum(lateness_us), 0) AS lateness_us
      FROM fresh
)
SELECT coalesce(s.succeeded, 0) + c.succeeded AS succeeded, coalesce(s.failed, 0) + c.failed AS failed,
       coalesce(s.dead, 0) + c.dead AS dead, coalesce(s.canceled, 0) + c.canceled AS canceled,
       coalesce(s.skipped, 0) + c.skipped AS skipped, coalesce(s.expired, 0) + c.expired AS expired,
       coalesce(s.begun, 0) + c.begun AS begun, coalesce(s.executed, 0) + c.executed AS executed,
       (coalesce(s.execution_us, 0) + c.execution_us)::int8 AS execution_us,
       (coalesce(s.lateness_us, 0) + c.lateness_us)::int8 AS lateness_us,
       ARRAY(SELECT bucket << 40 | sum(runs)::int8
               FROM (SELECT entry >> 40 AS bucket, entry & ((1::int8 << 40) - 1) AS runs
                       FROM part CROSS JOIN LATERAL unnest(part.executions) AS entry
                     UNION ALL
                     SELECT duration_bucket(execution_us), 1 FROM fresh WHERE execution_us IS NOT NULL) AS in_bucket
              GROUP BY bucket
              ORDER BY bucket) AS executions,
       ARRAY(SELECT bucket << 40 | sum(runs)::int8
               FROM (SELECT entry >> 40 AS bucket, entry & ((1::int8 << 40) - 1) AS runs
                       FROM part CROSS JOIN LATERAL unnest(part.latenesses) AS entry
                     UNION ALL
                     SELECT duration_bucket(lateness_us), 1 FROM fresh WHERE lateness_us IS NOT NULL) AS in_bucket
              GROUP BY bucket
              ORDER BY bucket) AS latenesses
  FROM summed s
 CROSS JOIN counted c

-- name: find_newest
-- takes: uuid, uuid, uuid
-- gives: kind text, at timestamptz, run_id uuid
-- The newest run, success and failure that there are, whatever the period; of the subject $1, with $2 and $3 as $4 and $5 above.
SELECT DISTINCT ON (kind) kind, at, run_id
  FROM (SELECT newest.kind, newest.at, newest.run_id
          FROM run_latest l
         CROSS JOIN LATERAL (VALUES ('run', l.last_run_at, l.last_run_id),
                                    ('success', l.last_success_at, l.last_success_id),
                                    ('failure', l.last_failure_at, l.last_failure_id)) AS newest (kind, at, run_id)
         WHERE l.subject_id = $1 AND newest.at IS NOT NULL
        UNION ALL
        SELECT kind.name, t.finished_at, t.run_id
          FROM run_tally t
         CROSS JOIN LATERAL (VALUES ('run', t.lateness_us IS NOT NULL),
                                    ('success', t.status = 'succeeded'),
                                    ('failure', t.status IN ('failed', 'dead'))) AS kind (name, is_one)
         WHERE ($2::uuid IS NULL OR t.task_id = $2) AND ($3::uuid IS NULL OR t.agent_id = $3) AND kind.is_one) AS known
 ORDER BY kind, at DESC, run_id DESC

-- name: count_tasks_of_agent
-- takes: timestamptz, timestamptz, int8, uuid
-- gives: tasks int8
-- Of which a run was begun and ended in the period; no more than $3 are counted. A task whose newest run came after the period
-- is looked up in its hours.
SELECT count(*) AS tasks
  FROM ((SELECT l.subject_id
           FROM run_latest l
          WHERE l.agent_id = $4 AND l.begun_hour >= $1
            AND (l.begun_hour < $2
                 OR EXISTS (SELECT FROM run_rollup r
                             WHERE r.subject_id = l.subject_id AND r.hours = 1 AND r.since >= $1 AND r.since < $2
                               AND r.begun > 0))
          LIMIT $3)
        UNION
        (SELECT DISTINCT t.task_id
           FROM run_tally t
          WHERE t.lateness_us IS NOT NULL AND t.finished_at >= $1 AND t.finished_at < $2 AND t.agent_id = $4
          LIMIT $3)) AS executed

-- name: count_tasks
-- takes: timestamptz, timestamptz, int8
-- gives: tasks int8
-- The same of all agents.
SELECT count(*) AS tasks
  FROM ((SELECT l.subject_id
           FROM run_latest l
          WHERE l.agent_id IS NOT NULL AND l.begun_hour >= $1
            AND (l.begun_hour < $2
                 OR EXISTS (SELECT FROM run_rollup r
                             WHERE r.subject_id = l.subject_id AND r.hours = 1 AND r.since >= $1 AND r.since < $2
                               AND r.begun > 0))
          LIMIT $3)
        UNION
        (SELECT DISTINCT t.task_id
           FROM run_tally t
          WHERE t.lateness_us IS NOT NULL AND t.finished_at >= $1 AND t.finished_at < $2
          LIMIT $3)) AS executed

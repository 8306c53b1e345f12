-- name: try_to_fold
-- gives: is_held bool
-- One scheduler folds at a time, until its transaction ends; the others look again later. So rows of the rollups are never
-- waited for in a circle.
SELECT pg_try_advisory_xact_lock(hashtext('fold_tallies')) AS is_held

-- name: fold_tallies
-- takes: int8
-- gives: folded int8
-- In one statement the tallies go and are counted: for their task, their agent, and everything, which is the greatest UUID.
-- What belongs to a day that has been rolled up already is counted there too. A short histogram is only made longer: to
-- add one up takes three times as long as all the rest of its row.
WITH mark AS MATERIALIZED (
    SELECT days_until, subject_until FROM run_rollup_mark
), taken AS MATERIALIZED (
    DELETE FROM run_tally
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM run_tally LIMIT $1))
    RETURNING run_id, task_id, agent_id, status, finished_at, date_trunc('hour', finished_at, 'UTC') AS hour,
              execution_us, duration_bucket(execution_us) AS execution_bucket,
              lateness_us, duration_bucket(lateness_us) AS lateness_bucket
), counted AS MATERIALIZED (
    SELECT subject.id AS subject_id, subject.agent_id, t.run_id, t.status, t.finished_at, t.hour, t.execution_us,
           t.execution_bucket, t.lateness_us, t.lateness_bucket
      FROM taken t
     CROSS JOIN LATERAL (VALUES (t.task_id, t.agent_id),
                                (t.agent_id, NULL),
                                ('ffffffff-ffff-ffff-ffff-ffffffffffff', NULL)) AS subject (id, agent_id)
), outcomes AS (
    SELECT subject_id, hour, count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
           count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'dead') AS dead,
           count(*) FILTER (WHERE status = 'canceled') AS canceled, count(*) FILTER (WHERE status = 'skipped') AS skipped,
           count(*) FILTER (WHERE status = 'expired') AS expired, count(lateness_us) AS begun,
           count(execution_us) AS executed, coalesce(sum(execution_us), 0)::int8 AS execution_us,
           coalesce(sum(lateness_us), 0)::int8 AS lateness_us
      FROM counted
     GROUP BY subject_id, hour
), executions AS (
    SELECT subject_id, hour, array_agg(bucket << 40 | runs ORDER BY bucket) AS histogram
      FROM (SELECT subject_id, hour, execution_bucket AS bucket, count(*) AS runs
              FROM counted
             WHERE execution_us IS NOT NULL
             GROUP BY subject_id, hour, execution_bucket) AS in_bucket
     GROUP BY subject_id, hour
), latenesses AS (
    SELECT subject_id, hour, array_agg(bucket << 40 | runs ORDER BY bucket) AS histogram
      FROM (SELECT subject_id, hour, lateness_bucket AS bucket, count(*) AS runs
              FROM counted
             WHERE lateness_us IS NOT NULL
             GROUP BY subject_id, hour, lateness_bucket) AS in_bucket
     GROUP BY subject_id, hour
), by_hour AS MATERIALIZED (
    SELECT subject_id, hour, succeeded, failed, dead, canceled, skipped, expired, begun, executed, execution_us, lateness_us,
           coalesce(executions.histogram, '{}') AS executions, coalesce(latenesses.histogram, '{}') AS latenesses
      FROM outcomes
      LEFT JOIN executions USING (subject_id, hour)
      LEFT JOIN latenesses USING (subject_id, hour)
), late AS (
    SELECT subject_id, date_trunc('day', hour, 'UTC') AS day, sum(succeeded) AS succeeded, sum(failed) AS failed,
           sum(dead) AS dead, sum(canceled) AS canceled, sum(skipped) AS skipped, sum(expired) AS expired, sum(begun) AS begun,
           sum(executed) AS executed, sum(execution_us) AS execution_us, sum(lateness_us) AS lateness_us,
           histogram_sum(executions) AS executions, histogram_sum(latenesses) AS latenesses
      FROM by_hour
     CROSS JOIN mark
     WHERE hour < mark.days_until
        OR hour < mark.days_until + interval '24 hours' AND subject_id <= mark.subject_until
     GROUP BY subject_id, date_trunc('day', hour, 'UTC')
), folded AS (
    INSERT INTO run_rollup AS known (subject_id, hours, since, succeeded, failed, dead, canceled, skipped, expired, begun,
                                     executed, execution_us, lateness_us, executions, latenesses)
    SELECT subject_id, 1, hour, succeeded, failed, dead, canceled, skipped, expired, begun, executed, execution_us,
           lateness_us, executions, latenesses
      FROM by_hour
    UNION ALL
    SELECT subject_id, 24, day, succeeded, failed, dead, canceled, skipped, expired, begun, executed, execution_us,
           lateness_us, executions, latenesses
      FROM late
    ON CONFLICT (subject_id, hours, since) DO UPDATE
       SET succeeded = known.succeeded + excluded.succeeded, failed = known.failed + excluded.failed,
           dead = known.dead + excluded.dead, canceled = known.canceled + excluded.canceled,
           skipped = known.skipped + excluded.skipped, expired = known.expired + excluded.expired,
           begun = known.begun + excluded.begun, executed = known.executed + excluded.executed,
           execution_us = known.execution_us + excluded.execution_us, lateness_us = known.lateness_us + excluded.lateness_us,
           executions = CASE WHEN cardinality(known.executions) < 100 THEN known.executions || excluded.executions
                             ELSE add_histograms(known.executions, excluded.executions) END,
           latenesses = CASE WHEN cardinality(known.latenesses) < 100 THEN known.latenesses || excluded.latenesses
                             ELSE add_histograms(known.latenesses, excluded.latenesses) END
), newest AS (
    SELECT subject_id, (array_agg(agent_id ORDER BY finished_at DESC))[1] AS agent_id,
           max(finished_at) FILTER (WHERE lateness_us IS NOT NULL) AS run_at,
           (array_agg(run_id ORDER BY finished_at DESC, run_id DESC) FILTER (WHERE lateness_us IS NOT NULL))[1] AS run_id,
           max(finished_at) FILTER (WHERE status = 'succeeded') AS success_at,
           (array_agg(run_id ORDER BY finished_at DESC, run_id DESC) FILTER (WHERE status = 'succeeded'))[1] AS success_id,
           max(finished_at) FILTER (WHERE status IN ('failed', 'dead')) AS failure_at,
           (array_agg(run_id ORDER BY finished_at DESC, run_id DESC) FILTER (WHERE status IN ('failed', 'dead')))[1] AS failure_id
      FROM counted
     GROUP BY subject_id
), kept AS (
    INSERT INTO run_latest AS known (subject_id, agent_id, begun_hour, last_run_at, last_run_id, last_success_at,
                                     last_success_id, last_failure_at, last_failure_id)
    SELECT subject_id, agent_id, date_trunc('hour', run_at, 'UTC'), run_at, run_id, success_at, success_id, failure_at,
           failure_id
      FROM newest
    ON CONFLICT (subject_id) DO UPDATE
       SET agent_id = excluded.agent_id,
           begun_hour = greatest(known.begun_hour, excluded.begun_hour),
           last_run_at = greatest(known.last_run_at, excluded.last_run_at),
           last_run_id = CASE WHEN known.last_run_at >= excluded.last_run_at THEN known.last_run_id
                              ELSE coalesce(excluded.last_run_id, known.last_run_id) END,
           last_success_at = greatest(known.last_success_at, excluded.last_success_at),
           last_success_id = CASE WHEN known.last_success_at >= excluded.last_success_at THEN known.last_success_id
                                  ELSE coalesce(excluded.last_success_id, known.last_success_id) END,
           last_failure_at = greatest(known.last_failure_at, excluded.last_failure_at),
           last_failure_id = CASE WHEN known.last_failure_at >= excluded.last_failure_at THEN known.last_failure_id
                                  ELSE coalesce(excluded.last_failure_id, known.last_failure_id) END
)
SELECT count(*) AS folded FROM taken

-- name: roll_up_day
-- takes: int8, timestamptz
-- gives: is_whole bool
-- The hours of the oldest day without rows of its own, once it is over for an hour, added up for the next subjects: about $1
-- of them. Whole: those were the last ones. Nothing is given when no day is over.
WITH mark AS MATERIALIZED (
    SELECT days_until, subject_until
      FROM run_rollup_mark
     WHERE days_until + interval '25 hours' <= coalesce($2, now())
), bound AS MATERIALIZED (
    SELECT coalesce(min(nth.subject_id::text)::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS subject_until
      FROM mark
     CROSS JOIN generate_series(0, 23) AS hour (number)
     CROSS JOIN LATERAL (
            SELECT r.subject_id
              FROM run_rollup r
             WHERE r.hours = 1 AND r.since = mark.days_until + hour.number * interval '1 hour'
               AND r.subject_id > mark.subject_until
             ORDER BY r.subject_id
            OFFSET $1
             LIMIT 1) AS nth
), part AS MATERIALIZED (
    SELECT r.*
      FROM mark
     CROSS JOIN bound
     CROSS JOIN generate_series(0, 23) AS hour (number)
     CROSS JOIN LATERAL (
            SELECT r.*
              FROM run_rollup r
             WHERE r.hours = 1 AND r.since = mark.days_until + hour.number * interval '1 hour'
               AND r.subject_id > mark.subject_until AND r.subject_id <= bound.subject_until) AS r
), added AS (
    INSERT INTO run_rollup (subject_id, hours, since, succeeded, failed, dead, canceled, skipped, expired, begun, executed,
                            execution_us, lateness_us, executions, latenesses)
    SELECT subject_id, 24, (SELECT days_until FROM mark), sum(succeeded), sum(failed), sum(dead), sum(canceled), sum(skipped),
           sum(expired), sum(begun), sum(executed), sum(execution_us), sum(lateness_us), histogram_sum(executions),
           histogram_sum(latenesses)
      FROM part
     GROUP BY subject_id
)
UPDATE run_rollup_mark m
   SET days_until = CASE WHEN bound.subject_until = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                         THEN m.days_until + interval '24 hours' ELSE m.days_until END,
       subject_until = CASE WHEN bound.subject_until = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                            THEN '00000000-0000-0000-0000-000000000000' ELSE bound.subject_until END
  FROM mark
 CROSS JOIN bound
RETURNING bound.subject_until = 'ffffffff-ffff-ffff-ffff-ffffffffffff' AS is_whole

-- What statistics are made of: each run that reaches its outcome leaves one row in run_tally, in the transaction that writes
-- the outcome and whichever statement does so. A scheduler folds these rows into run_rollup.

-- Durations in buckets each a tenth wider than the one before, so that whatever lies in one is told within 5 % by its middle.
-- Bucket 0 is no time at all, bucket 1 what is up to one microsecond.
CREATE FUNCTION duration_bucket(us bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN us <= 0 THEN 0 ELSE 1 + ceil(ln(us::float8) / ln(1.1::float8))::bigint END
$$;

-- A histogram is an array of numbers, each a bucket in the upper bits and how many are in it in the lower 40. A bucket may come
-- several times.
CREATE FUNCTION add_histograms(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN one = '{}' THEN other
                WHEN other = '{}' THEN one
                ELSE (SELECT array_agg(bucket << 40 | counted ORDER BY bucket)
                        FROM (SELECT entry >> 40 AS bucket, sum(entry & ((1::bigint << 40) - 1))::bigint AS counted
                                FROM unnest(one || other) AS entry
                               GROUP BY entry >> 40) AS summed) END
$$;

CREATE AGGREGATE histogram_sum(bigint[]) (SFUNC = add_histograms, STYPE = bigint[], INITCOND = '{}', PARALLEL = SAFE);

CREATE FUNCTION tally_inserted_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO run_tally (run_id, task_id, agent_id, status, finished_at, execution_us, lateness_us)
    SELECT id, task_id, agent_id, status, finished_at,
           CASE WHEN status IN ('succeeded', 'failed', 'dead')
                THEN (extract(epoch FROM finished_at - started_at) * 1000000)::bigint END,
           CASE WHEN started_at IS NOT NULL
                THEN greatest((extract(epoch FROM started_at - scheduled_for) * 1000000)::bigint, 0) END
      FROM inserted
     WHERE finished_at IS NOT NULL;
    RETURN NULL;
END $$;

-- A finished run can still be renamed: it is found by its old id only where it kept it. Joined by hashing whatever the
-- planner believes, since the plan is kept and the next statement may have changed a hundred thousand runs.
CREATE FUNCTION tally_finished_runs() RETURNS trigger LANGUAGE plpgsql
SET enable_nestloop = off SET enable_mergejoin = off AS $$
BEGIN
    INSERT INTO run_tally (run_id, task_id, agent_id, status, finished_at, execution_us, lateness_us)
    SELECT run.id, run.task_id, run.agent_id, run.status, run.finished_at,
           CASE WHEN run.status IN ('succeeded', 'failed', 'dead')
                THEN (extract(epoch FROM run.finished_at - run.started_at) * 1000000)::bigint END,
           CASE WHEN run.started_at IS NOT NULL
                THEN greatest((extract(epoch FROM run.started_at - run.scheduled_for) * 1000000)::bigint, 0) END
      FROM changed_to run
      JOIN changed_from before ON before.id = run.id
     WHERE run.finished_at IS NOT NULL AND before.finished_at IS NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER task_run_tally_inserted AFTER INSERT ON task_run
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION tally_inserted_runs();
CREATE TRIGGER task_run_tally_finished AFTER UPDATE ON task_run
    REFERENCING OLD TABLE AS changed_from NEW TABLE AS changed_to FOR EACH STATEMENT EXECUTE FUNCTION tally_finished_runs();

-- What is there already. Its days count as rolled up, so that it goes into hours and days.
INSERT INTO run_rollup_mark (days_until) VALUES (date_trunc('day', now(), 'UTC'));
INSERT INTO run_tally (run_id, task_id, agent_id, status, finished_at, execution_us, lateness_us)
SELECT id, task_id, agent_id, status, finished_at,
       CASE WHEN status IN ('succeeded', 'failed', 'dead')
            THEN (extract(epoch FROM finished_at - started_at) * 1000000)::bigint END,
       CASE WHEN started_at IS NOT NULL
            THEN greatest((extract(epoch FROM started_at - scheduled_for) * 1000000)::bigint, 0) END
  FROM task_run
 WHERE finished_at IS NOT NULL;

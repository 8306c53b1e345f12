CREATE OR REPLACE FUNCTION make_partitions_ahead() RETURNS int LANGUAGE sql SET timezone = 'UTC' AS $$
    SELECT sum(made)::int FROM (
        SELECT make_partitions(parent, '1 week', 'id', date_trunc('week', now(), 'UTC') - interval '1 week', 5,
                               'WITH (fillfactor = 85)') AS made
          FROM unnest(ARRAY['task_run', 'run_attempt', 'run_step', 'event']) AS parent
        UNION ALL
        SELECT make_partitions('audit_log', '1 month', 'time', date_trunc('month', now(), 'UTC'), 2, '')
    ) AS each_parent
$$;

-- Partitions are made ahead of time by this function, which the migrations call once and a chore several times a day. It is
-- harmless when run twice, or by several at once. Weeks and months are those of UTC, whatever the session's zone. A range of which rows already lie in the default partition is left to that partition, so
-- that a chore which was down for long cannot make it fail.
CREATE FUNCTION make_partitions(parent text, step interval, keyed_by text, since timestamptz, steps_ahead int, storage text)
RETURNS int LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    lower_at timestamptz;
    lower_key text;
    upper_key text;
    partition_name text;
    key_column text;
    is_taken boolean;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    SELECT a.attname INTO key_column
      FROM pg_partitioned_table p
      JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partrelid = parent::regclass;
    FOR lower_at IN SELECT generate_series(since, since + step * steps_ahead, step) LOOP
        partition_name := parent || '_p' || to_char(lower_at AT TIME ZONE 'UTC', 'YYYYMMDD');
        CONTINUE WHEN to_regclass(partition_name) IS NOT NULL;
        lower_key := partition_bound(lower_at, keyed_by);
        upper_key := partition_bound(lower_at + step, keyed_by);
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE %I >= %L AND %I < %L)',
                       parent || '_default', key_column, lower_key, key_column, upper_key) INTO is_taken;
        CONTINUE WHEN is_taken;
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) %s',
                       partition_name, parent, lower_key, upper_key, storage);
        PERFORM guard_partition(parent, partition_name);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- The smallest version-7 UUID of an instant, or the instant itself, as a literal.
CREATE FUNCTION partition_bound(at timestamptz, keyed_by text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE keyed_by
        WHEN 'id' THEN (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid::text
        ELSE at::text
    END
$$;

-- Row triggers reach every partition by themselves; TRUNCATE fires only on the table that it names.
CREATE FUNCTION guard_partition(parent text, partition_name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF parent = 'audit_log' THEN
        EXECUTE format('CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()', partition_name);
    END IF;
END $$;

-- Weeks for what is keyed by id, months for the audit trail: each partition is one more lock in a statement that cannot
-- be pruned, so that they are no finer than retention needs.
CREATE FUNCTION make_partitions_ahead() RETURNS int LANGUAGE sql SET timezone = 'UTC' AS $$
    SELECT sum(made)::int FROM (
        SELECT make_partitions(parent, '1 week', 'id', date_trunc('week', now(), 'UTC') - interval '1 week', 5,
                               'WITH (fillfactor = 85)') AS made
          FROM unnest(ARRAY['task_run', 'run_attempt', 'run_step', 'event']) AS parent
        UNION ALL
        SELECT make_partitions('audit_log', '1 month', 'time', date_trunc('month', now(), 'UTC'), 2, '')
    ) AS each_parent
$$;

CREATE TABLE task_run_default PARTITION OF task_run DEFAULT WITH (fillfactor = 85);
CREATE TABLE run_attempt_default PARTITION OF run_attempt DEFAULT;
CREATE TABLE run_step_default PARTITION OF run_step DEFAULT;
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
SELECT guard_partition('audit_log', 'audit_log_default');
SELECT make_partitions_ahead();

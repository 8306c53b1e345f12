DROP FUNCTION make_partitions_ahead();
DROP FUNCTION make_partitions(text, interval, text, timestamptz, int, text);
DROP FUNCTION guard_partition(text, text);
DROP FUNCTION partition_bound(timestamptz, text);
DROP TRIGGER audit_log_no_change ON audit_log;
DROP TRIGGER audit_log_no_truncate ON audit_log;
DROP FUNCTION refuse_audit_change() CASCADE;

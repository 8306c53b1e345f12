-- name: list_entries
-- takes: int8, int8, int8, int8, int8, int8, int8
-- gives: xid int8, seq int8, at bytea, actor_id text, actor_name text, action text, subject_type text, subject_id text
-- gives: details text, request_id text, trace_id text
-- From ($1, $2) up to ($3, $4), of the era from $5 up to $6, at most $7. Rows that lie in one range of transactions which are all over
-- never become more.
SELECT xid, seq, timestamptz_send(at) AS at, actor_id::text, actor_name, action, subject_type, subject_id,
       details::text, request_id, trace_id
  FROM audit_log
 WHERE (xid, seq) >= ($1, $2) AND (xid, seq) < ($3, $4) AND seq >= $5 AND seq < $6
 ORDER BY xid, seq
 LIMIT $7

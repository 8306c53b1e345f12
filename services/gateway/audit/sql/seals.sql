-- name: find_head
-- gives: number int8, hash bytea, cluster int8, upto_xid int8, upto_seq int8, era_from_seq int8
-- Behind the last seal of an era, what follows begins from the beginning.
SELECT number, hash, cluster,
       CASE WHEN era_upto_seq IS NULL THEN upto_xid ELSE -9223372036854775808 END AS upto_xid,
       CASE WHEN era_upto_seq IS NULL THEN upto_seq ELSE -9223372036854775808 END AS upto_seq,
       coalesce(era_upto_seq, era_from_seq) AS era_from_seq
  FROM audit_seal
 ORDER BY number DESC
 LIMIT 1

-- name: find_hash
-- takes: int8
-- gives: hash bytea
SELECT hash FROM audit_seal WHERE number = $1

-- name: list_seals
-- takes: int8, int8, int8, int8
-- gives: number int8, era int4, cluster int8, from_xid int8, from_seq int8, upto_xid int8, upto_seq int8
-- gives: era_from_seq int8, era_upto_seq int8, era_ends_at_seq int8, entries int4, last_seq int8, last_at bytea
-- gives: previous_hash bytea, hash bytea, marks bytea, sealed_at bytea
-- From $1 to $2, at most $3, and no more once they have $4 entries together. Where an era ends, its last seal says for all.
SELECT s.number, s.era, s.cluster, s.from_xid, s.from_seq, s.upto_xid, s.upto_seq, s.era_from_seq, s.era_upto_seq,
       (SELECT e.era_upto_seq FROM audit_seal e WHERE e.era = s.era AND e.era_upto_seq IS NOT NULL) AS era_ends_at_seq,
       s.entries, s.last_seq, timestamptz_send(s.last_at) AS last_at, s.previous_hash, s.hash, s.marks,
       timestamptz_send(s.sealed_at) AS sealed_at
  FROM (SELECT number, sum(entries) OVER (ORDER BY number) - entries AS before
          FROM (SELECT number, entries
                  FROM audit_seal
                 WHERE number BETWEEN $1 AND $2
                 ORDER BY number
                 LIMIT $3) AS next_ones) AS counted
  JOIN audit_seal s ON s.number = counted.number
 WHERE counted.before < $4
 ORDER BY s.number

-- name: look_behind
-- takes: int8, int8, int8, int8
-- gives: cluster int8, unsealed int8, oldest_seconds float8, from_the_future int8[]
-- What no seal covers that ends at ($1, $2), of the era from $3 on, counted up to $4. The place comes as parameters: beside
-- the seal itself the planner would read the whole trail. No transaction can have a number that was not drawn:
-- `from_the_future` are entries that claim one.
WITH waiting AS MATERIALIZED (
    SELECT xid, seq, at
      FROM audit_log
     WHERE (xid, seq) >= ($1, $2) AND seq >= $3
     ORDER BY xid, seq
     LIMIT $4
)
SELECT system_identifier AS cluster, (SELECT count(*) FROM waiting) AS unsealed,
       (SELECT extract(epoch FROM now() - min(at))::float8 FROM waiting) AS oldest_seconds,
       ARRAY(SELECT seq FROM waiting
              WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint LIMIT 100) AS from_the_future
  FROM pg_control_system()

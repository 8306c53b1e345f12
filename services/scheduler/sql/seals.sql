-- name: take_turn
-- takes: int8
-- gives: is_mine bool
-- Held until the transaction ends; nobody waits for it. What is read afterwards has the seal of whoever had it before.
SELECT pg_try_advisory_xact_lock($1) AS is_mine

-- name: look_around
-- takes: timestamptz
-- gives: cluster int8, xmin int8, now timestamptz
-- Everything that a transaction below xmin has written is visible from here on, and nothing can be added to it.
SELECT system_identifier AS cluster, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin,
       coalesce($1, clock_timestamp()) AS now
  FROM pg_control_system()

-- name: find_head
-- gives: number int8, era int4, cluster int8, from_xid int8, from_seq int8, upto_xid int8, upto_seq int8
-- gives: era_from_seq int8, era_upto_seq int8, entries int4, last_seq int8, last_at timestamptz, previous_hash bytea
-- gives: hash bytea, sealed_at timestamptz
SELECT number, era, cluster, from_xid, from_seq, upto_xid, upto_seq, era_from_seq, era_upto_seq, entries, last_seq,
       last_at, previous_hash, hash, sealed_at
  FROM audit_seal
 ORDER BY number DESC
 LIMIT 1

-- name: find_hash
-- takes: int8
-- gives: hash bytea
SELECT hash FROM audit_seal WHERE number = $1

-- name: find_last_from_elsewhere
-- gives: seq int8
-- What is visible was begun before xmax, so that whoever wrote these was in another cluster. It is the xmax of this very
-- statement: entries that are committed after an earlier one would seem to come from elsewhere, too.
SELECT max(seq) AS seq FROM audit_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint

-- name: insert_seal
-- takes: int8, int4, int8, int8, int8, int8, int8, int8, int8, int4, int8, timestamptz, bytea, bytea, bytea, timestamptz
INSERT INTO audit_seal (number, era, cluster, from_xid, from_seq, upto_xid, upto_seq, era_from_seq, era_upto_seq, entries,
                        last_seq, last_at, previous_hash, hash, marks, sealed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)

-- name: make_partitions
-- gives: make_partitions_ahead int4
SELECT make_partitions_ahead()

-- name: prune_idempotency_keys
DELETE FROM idempotency_key WHERE expires_at < now()

-- name: prune_rate_windows
-- A window whose last start, which may lie ahead, has left even the longest period says nothing any more.
DELETE FROM rate_window WHERE coalesce(starts[cardinality(starts)], updated_at) < now() - interval '2 days'

-- name: make_partitions
-- gives: make_partitions_ahead int4
SELECT make_partitions_ahead()

-- name: prune_idempotency_keys
DELETE FROM idempotency_key WHERE expires_at < now()

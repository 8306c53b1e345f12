-- name: look
-- gives: revision text, service text, instance text, version text, silent_seconds float8
-- One row at least, so that the revision is known before any service has beaten.
SELECT a.version_num::text AS revision, h.service, h.instance, h.version,
       extract(epoch FROM now() - h.beat_at)::float8 AS silent_seconds
  FROM alembic_version a
  LEFT JOIN worker_heartbeat h ON true
 ORDER BY h.service, h.instance

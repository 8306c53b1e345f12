-- name: beat
-- takes: text, text, text
INSERT INTO worker_heartbeat (service, instance, version, started_at, beat_at)
VALUES ($1, $2, $3, now(), now())
ON CONFLICT (service, instance) DO UPDATE SET beat_at = now(), version = excluded.version

-- name: end_heartbeat
-- takes: text, text
DELETE FROM worker_heartbeat WHERE service = $1 AND instance = $2

-- name: forget_silent
-- takes: text, float8
-- An instance that died left its row; who beats next sweeps it away.
DELETE FROM worker_heartbeat WHERE service = $1 AND beat_at < now() - make_interval(secs => $2)

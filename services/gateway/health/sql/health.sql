-- name: look
-- gives: revision text, service text, instance text, version text, silent_seconds float8
-- One row at least, so that the revision is known before any service has beaten.
SELECT a.version_num::text AS revision, h.service, h.instance, h.version,
       extract(epoch FROM now() - h.beat_at)::float8 AS silent_seconds
  FROM alembic_version a
  LEFT JOIN worker_heartbeat h ON true
 ORDER BY h.service, h.instance

-- name: look_at_backlog
-- takes: float8
-- gives: work_seconds float8, schedules_seconds float8, events_seconds float8
-- How long the oldest of each has been waiting for the service that is to take it; null when nothing waits. What waited
-- while no executor was there counts from when the eldest of those that live began: after an outage it is their backlog,
-- and no sign that they are stuck. $1: after how many seconds a heartbeat is silent.
SELECT (SELECT extract(epoch FROM now() - greatest(min(soonest.available_at), min(eldest.started_at)))::float8
          FROM generate_series(1, 9) AS level (priority)
         CROSS JOIN LATERAL (
                SELECT w.available_at
                  FROM due_work w
                 WHERE w.priority = level.priority AND w.available_at <= now()
                 ORDER BY w.available_at, w.id
                 LIMIT 1) AS soonest
         CROSS JOIN (
                SELECT min(h.started_at) AS started_at
                  FROM worker_heartbeat h
                 WHERE h.service = 'executor' AND h.beat_at > now() - make_interval(secs => $1)) AS eldest
       ) AS work_seconds,
       (SELECT extract(epoch FROM now() - min(c.next_at))::float8
          FROM schedule_cursor c
         WHERE c.next_at <= now()) AS schedules_seconds,
       (SELECT extract(epoch FROM now() - min(e.published_at))::float8
          FROM (SELECT published_at FROM event WHERE relayed_at IS NULL ORDER BY id LIMIT 1) AS e) AS events_seconds

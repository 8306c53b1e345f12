-- name: ask_position
-- gives: milliseconds int8, xid int8
-- Of transactions below this number, everything is seen by whoever looks after this.
SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS milliseconds,
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xid

-- name: find_changed_runs
-- takes: int8, timestamptz, uuid[], uuid, int8
-- gives: id uuid, version int8
-- Runs of these agents, or of all, that transactions from $1 on have written, in the order of their ids, from $4 on. Numbers
-- of transactions are compared as Postgres does, around the circle of 32 bits. Unfinished runs are found by their work, whose
-- row is written with theirs, or by the wish that they end; finished ones by the time of their outcome ($2), which can lie
-- far behind their ids. The LIMIT keeps the planner from reading all runs to join them.
WITH changed AS (
    SELECT run.id, run.version
      FROM due_work w
     CROSS JOIN LATERAL (
            SELECT r.id, r.xmin::text::bigint AS version
              FROM task_run r
             WHERE r.id = w.id
             LIMIT 1) AS run
     WHERE ((w.xmin::text::bigint - $1::bigint) & 4294967295) < 2147483648
       AND ($3::uuid[] IS NULL OR w.agent_id = ANY ($3))
    UNION
    SELECT run.id, run.xmin::text::bigint
      FROM task_run run
     WHERE run.finished_at >= $2
       AND ($3::uuid[] IS NULL OR run.agent_id = ANY ($3))
    UNION
    SELECT run.id, run.xmin::text::bigint
      FROM task_run run
     WHERE run.cancel_requested_at IS NOT NULL AND run.finished_at IS NULL
       AND ($3::uuid[] IS NULL OR run.agent_id = ANY ($3))
)
SELECT id, version
  FROM changed
 WHERE ((version - $1::bigint) & 4294967295) < 2147483648 AND ($4::uuid IS NULL OR id > $4)
 ORDER BY id
 LIMIT $5

-- name: find_changed_among
-- takes: int8, uuid[]
-- gives: id uuid, version int8
-- The same of runs that are followed one by one.
SELECT id, xmin::text::bigint AS version
  FROM task_run
 WHERE id = ANY ($2) AND ((xmin::text::bigint - $1::bigint) & 4294967295) < 2147483648

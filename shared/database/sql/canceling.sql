-- name: cancel_released
-- takes: uuid[]
-- gives: id uuid, let_go int8
-- The end of runs that were asked to stop and that no executor holds, be it because none has them yet, because they wait, or
-- because the attempt that was asked ended otherwise; $1: of these runs alone. Together with all that hangs on them: their
-- steps and decisions wait no longer, their messages are withdrawn, and whatever stood back for them may go.
WITH released AS MATERIALIZED (
    SELECT w.id, w.task_id, w.agent_id, w.concurrency_key
      FROM task_run run
      JOIN due_work w ON w.id = run.id
     WHERE run.cancel_requested_at IS NOT NULL AND run.finished_at IS NULL
       AND ($1::uuid[] IS NULL OR run.id = ANY ($1))
       AND (w.locked_until IS NULL OR w.locked_until <= now())
       FOR UPDATE OF w SKIP LOCKED
), removed AS (
    DELETE FROM due_work w USING released r WHERE w.id = r.id
), waiter AS MATERIALIZED (
    SELECT next.id
      FROM released r
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.task_id = r.task_id AND w.held_until IS NOT NULL AND w.id <> r.id
             ORDER BY w.run_at, w.id
             LIMIT 1
               FOR UPDATE SKIP LOCKED) AS next
    UNION ALL
    SELECT next.id
      FROM released r
     CROSS JOIN LATERAL (
            SELECT w.id
              FROM due_work w
             WHERE w.agent_id = r.agent_id AND w.concurrency_key = r.concurrency_key AND w.held_until IS NOT NULL
               AND w.id <> r.id
             ORDER BY w.priority, w.run_at, w.id
             LIMIT 1
               FOR UPDATE SKIP LOCKED) AS next
), let_go AS (
    UPDATE due_work w SET held_until = NULL FROM waiter WHERE w.id = waiter.id
    RETURNING w.id
), stopped AS (
    UPDATE run_step step
       SET status = 'failed', finished_at = now(),
           error = jsonb_build_object('class', 'canceled', 'message', 'The run was canceled.', 'retryable', false)
      FROM released r
     WHERE step.run_id = r.id AND step.status IN ('running', 'waiting')
), undecided AS (
    UPDATE approval a
       SET status = 'expired', decided_at = now()
      FROM released r
     WHERE a.run_id = r.id AND a.status = 'pending'
), withdrawn AS (
    UPDATE inbox_message m
       SET settled_at = now(), settled_as = 'expired'
      FROM released r
     WHERE m.run_id = r.id AND m.settled_at IS NULL
), canceled AS (
    UPDATE task_run run
       SET status = 'canceled', success = NULL, finished_at = now(), next_attempt_at = NULL,
           error = CASE WHEN run.error ->> 'class' = 'canceled' THEN run.error
                        ELSE jsonb_build_object('class', 'canceled', 'message', 'The run was canceled.', 'retryable', false)
                   END
      FROM released r
     WHERE run.id = r.id AND run.finished_at IS NULL
    RETURNING run.id
)
SELECT id, (SELECT count(*) FROM let_go) AS let_go FROM canceled

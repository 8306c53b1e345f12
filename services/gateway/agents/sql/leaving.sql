-- name: measure_belongings
-- takes: uuid, int8
-- gives: tasks int4, runs int4, messages int4
-- What keeps an agent: tasks that will run, work of its tasks that has no outcome yet, messages that nobody has settled. None
-- is counted further than $2.
SELECT (SELECT count(*)::int
          FROM (SELECT FROM task t WHERE t.agent_id = $1 AND t.status IN ('active', 'paused') LIMIT $2) AS living) AS tasks,
       (SELECT count(*)::int
          FROM (SELECT
                  FROM task t
                  JOIN due_work w ON w.task_id = t.id
                 WHERE t.agent_id = $1
                 LIMIT $2) AS unfinished) AS runs,
       (SELECT count(*)::int
          FROM (SELECT
                  FROM inbox_message m
                 WHERE m.agent_id = $1 AND m.settled_at IS NULL AND m.expires_at > now()
                 LIMIT $2) AS waiting) AS messages

-- name: lock_tasks_to_hand_over
-- takes: uuid, text
-- gives: id uuid, is_active bool, waits_for_events bool, uses_secret bool
-- Tasks that will run, or of which work is under way. $2: what a reference to a secret looks like; most tasks do not even
-- hold the word.
SELECT t.id, t.status = 'active' AS is_active,
       t.schedule_kind = 'event' AND t.status IN ('active', 'paused') AS waits_for_events,
       CASE WHEN position('secrets' IN told.text) > 0 THEN told.text ~ $2 ELSE false END AS uses_secret
  FROM task t
 CROSS JOIN LATERAL (SELECT concat_ws(' ', t.payload::text, t.on_success::text, t.on_failure::text) AS text) AS told
 WHERE t.agent_id = $1
   AND (t.status IN ('active', 'paused') OR EXISTS (SELECT FROM due_work w WHERE w.task_id = t.id))
 ORDER BY t.id
   FOR NO KEY UPDATE OF t

-- name: lock_cursors_to_hand_over
-- takes: uuid[]
-- gives: held int8
-- After the tasks, as everybody does: whoever holds both knows that no work is about to be made of them.
WITH held AS MATERIALIZED (
    SELECT task_id FROM schedule_cursor WHERE task_id = ANY ($1) ORDER BY task_id FOR UPDATE
)
SELECT count(*) AS held FROM held

-- name: lock_work_to_hand_over
-- takes: uuid[]
-- gives: id uuid
-- In the order in which executors lock it, so that nobody waits in a circle.
SELECT id FROM due_work WHERE task_id = ANY ($1) ORDER BY id FOR UPDATE

-- name: find_shared_keys
-- takes: uuid[], uuid
-- gives: dedupe_key text
-- Keys that would name two living tasks of the agent $2.
SELECT mine.dedupe_key
  FROM task mine
  JOIN task other ON other.agent_id = $2 AND other.dedupe_key = mine.dedupe_key AND other.status IN ('active', 'paused')
 WHERE mine.id = ANY ($1) AND mine.status IN ('active', 'paused')
 ORDER BY mine.dedupe_key
 LIMIT 5

-- name: hand_over
-- takes: uuid, uuid, uuid[], uuid[], uuid, text, text, text
-- gives: tasks int8, runs int8, messages int8
-- Tasks ($3) and their unfinished work ($4) with its runs and its pending approvals, and the messages that wait. Ids, times
-- and leases stay; runs that have ended stay with the agent that ran them. One audit entry for each task.
WITH tasks AS (
    UPDATE task t
       SET agent_id = $2, version = t.version + 1, updated_at = now()
     WHERE t.id = ANY ($3)
    RETURNING t.id
), work AS (
    UPDATE due_work SET agent_id = $2 WHERE id = ANY ($4)
    RETURNING id
), runs AS (
    UPDATE task_run run SET agent_id = $2 WHERE run.id = ANY ($4)
), approvals AS (
    UPDATE approval a SET agent_id = $2 WHERE a.run_id = ANY ($4) AND a.status = 'pending'
), messages AS (
    UPDATE inbox_message m SET agent_id = $2 WHERE m.agent_id = $1 AND m.settled_at IS NULL
    RETURNING m.id
), audited AS (
    INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, details, request_id, trace_id)
    SELECT $5, $6, 'task.handed_over', 'task', id::text,
           jsonb_build_object('changed', jsonb_build_object('created_by', jsonb_build_object('before', $1, 'after', $2))),
           $7, $8
      FROM tasks
)
SELECT (SELECT count(*) FROM tasks) AS tasks, (SELECT count(*) FROM work) AS runs,
       (SELECT count(*) FROM messages) AS messages

-- name: delete_agent
-- takes: uuid
-- gives: tokens int8, secrets text[]
-- What it did stays readable under its id; its name is free, its tokens and its secrets are gone.
WITH left_behind AS (
    UPDATE agent
       SET deleted_at = now(), status = 'disabled', name_key = NULL, version = version + 1, updated_at = now()
     WHERE id = $1
), revoked AS (
    UPDATE agent_token SET revoked_at = now() WHERE agent_id = $1 AND revoked_at IS NULL
    RETURNING key_id
), forgotten AS (
    DELETE FROM secret WHERE agent_id = $1
    RETURNING name
)
SELECT (SELECT count(*) FROM revoked) AS tokens,
       (SELECT coalesce(array_agg(name ORDER BY name), '{}') FROM forgotten) AS secrets

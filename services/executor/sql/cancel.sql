-- name: find_asked_to_stop
-- gives: id uuid
-- Read from a small index that holds nothing else.
SELECT id FROM task_run WHERE cancel_requested_at IS NOT NULL AND finished_at IS NULL

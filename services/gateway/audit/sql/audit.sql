-- name: insert_entry
-- takes: uuid, text, text, text, text, jsonb, text, text
INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, details, request_id, trace_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

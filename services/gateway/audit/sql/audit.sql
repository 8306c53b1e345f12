-- name: insert_entry
-- takes: uuid, text, text, text, text, jsonb, text, text
INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, details, request_id, trace_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)

-- name: insert_entries
-- takes: uuid, text, text, text, text[], text[], text, text
-- In the order given, one for each subject ($5) with its details ($6).
INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, details, request_id, trace_id)
SELECT $1, $2, $3, $4, subject.id, subject.details::jsonb, $7, $8
  FROM unnest($5::text[], $6::text[]) WITH ORDINALITY AS subject (id, details, place)
 ORDER BY subject.place

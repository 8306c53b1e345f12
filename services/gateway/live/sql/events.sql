-- name: find_new_events
-- takes: int8, timestamptz
-- gives: id uuid
-- Events that transactions from $1 on have written; a number is written once more when the event is relayed. None that is
-- new was published before $2.
SELECT id
  FROM event
 WHERE published_at >= $2 AND ((xmin::text::bigint - $1::bigint) & 4294967295) < 2147483648
 ORDER BY published_at, id

-- name: read_events
-- takes: uuid[]
-- gives: id uuid, topic text, payload text, attributes text, source_agent_id uuid, published_by text
-- gives: published_at timestamptz, depth int4
SELECT id, topic, payload::text AS payload, attributes::text AS attributes, source_agent_id, published_by, published_at,
       depth
  FROM event
 WHERE id = ANY ($1)
 ORDER BY published_at, id

-- name: list_events_after
-- takes: timestamptz, uuid, text, int8
-- gives: id uuid, topic text, payload text, attributes text, source_agent_id uuid, published_by text
-- gives: published_at timestamptz, depth int4
-- In the order of their publication; $3: of this topic alone. Ids do not tell it: a step's event bears the time of its run.
SELECT id, topic, payload::text AS payload, attributes::text AS attributes, source_agent_id, published_by, published_at,
       depth
  FROM event
 WHERE (published_at, id) > ($1, $2) AND ($3::text IS NULL OR topic = $3)
 ORDER BY published_at, id
 LIMIT $4

-- name: find_publication
-- takes: uuid
-- gives: published_at timestamptz
SELECT published_at FROM event WHERE id = $1

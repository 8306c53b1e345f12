-- name: find_sealed
-- takes: uuid, text[]
-- gives: name text, version int4, key_id text, nonce bytea, ciphertext bytea
SELECT name, version, key_id, nonce, ciphertext
  FROM secret
 WHERE agent_id = $1 AND name = ANY ($2)

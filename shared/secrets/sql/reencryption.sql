-- name: find_sealed_otherwise
-- takes: text, uuid, text, int4
-- gives: agent_id uuid, name text, version int4, key_id text, nonce bytea, ciphertext bytea
SELECT agent_id, name, version, key_id, nonce, ciphertext
  FROM secret
 WHERE key_id <> $1 AND (agent_id, name) > ($2::uuid, $3::text)
 ORDER BY agent_id, name
 LIMIT $4::int4

-- name: replace_seals
-- takes: uuid[], text[], int4[], bytea[], text, bytea[], bytea[]
-- gives: name text
-- A value that was replaced meanwhile has another version and nonce, and stays. The value is the same: so is updated_at.
UPDATE secret
   SET key_id = $5, nonce = resealed.nonce, ciphertext = resealed.ciphertext
  FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::bytea[], $6::bytea[], $7::bytea[])
       AS resealed (agent_id, name, version, known_nonce, nonce, ciphertext)
 WHERE secret.agent_id = resealed.agent_id AND secret.name = resealed.name
   AND secret.version = resealed.version AND secret.nonce = resealed.known_nonce
RETURNING secret.name

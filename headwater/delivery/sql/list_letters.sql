-- Dead letters, newest first.
-- $1 app, $2 states, $3 tenant or null, $4 type or null, $5 reason or null, $6 before id or null, $7 at most -> rows without fields
SELECT id, state, parked_at, stream, entry, type, tenant, key, event_id, reason, error, failures, size, settled_at, note
  FROM headwater.dead_letter
 WHERE app = $1 AND state = ANY ($2::text[]) AND ($3::text IS NULL OR tenant = $3) AND ($4::text IS NULL OR type = $4)
   AND ($5::text IS NULL OR reason = $5) AND ($6::bigint IS NULL OR id < $6)
 ORDER BY id DESC LIMIT $7

-- Conflicts that nobody has resolved, the oldest first.
-- id of one or null for all -> id, fields, ours, theirs, when it was found
SELECT id, clashes, mine::text AS mine, theirs::text AS theirs, found_at
  FROM customer_sync.conflict
 WHERE resolved_at IS NULL AND ($1::text IS NULL OR id = $1)
 ORDER BY number

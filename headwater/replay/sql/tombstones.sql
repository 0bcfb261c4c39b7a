-- Deletions of a subject, a page in key order. What was deleted while an application was away must leave it too.
-- $1 subject, $2 tenant, $3 since or null, $4 after key, $5 at most -> (key, version)
SELECT key, version FROM headwater.tombstone
 WHERE subject = $1 AND tenant = $2 AND ($3::timestamptz IS NULL OR deleted_at >= $3) AND key > $4
 ORDER BY key LIMIT $5

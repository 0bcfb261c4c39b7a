-- Say of keys that they are gone, as long as nobody said anything newer of them: at the version that was known.
-- $1 app, $2 tenant, $3 subject, $4 keys, $5 versions -> the keys of which it is so now
WITH gone AS (
    SELECT l.key FROM headwater.ledger AS l
      JOIN unnest($4::text[], $5::bigint[]) AS known (key, version) USING (key, version)
     WHERE l.app = $1 AND l.tenant = $2 AND l.subject = $3 AND NOT l.deleted ORDER BY l.key FOR UPDATE OF l)
UPDATE headwater.ledger AS l SET deleted = true, applied_at = clock_timestamp()
  FROM gone WHERE l.app = $1 AND l.tenant = $2 AND l.subject = $3 AND l.key = gone.key
RETURNING l.key

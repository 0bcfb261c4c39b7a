-- Ask for the end of open jobs; those nobody works on end at once.
-- $1 tenant, $2 app, $3 id or null -> ids
UPDATE headwater.job
   SET cancelled = true, paused = false,
       state = CASE WHEN lease_until IS NULL OR lease_until < clock_timestamp() THEN 'cancelled' ELSE state END,
       finished_at = CASE WHEN lease_until IS NULL OR lease_until < clock_timestamp() THEN clock_timestamp() END
 WHERE tenant = $1 AND app = $2 AND ($3::uuid IS NULL OR id = $3)
   AND state IN ('queued', 'running', 'paused', 'catching_up', 'verifying')
RETURNING id

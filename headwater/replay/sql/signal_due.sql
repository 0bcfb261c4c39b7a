-- Tenants of an application of which something is unknown since a loss, and whose turn it is to be compared: later with each try.
-- $1 app, $2 most tries, $3 seconds after the first -> tenants
SELECT DISTINCT tenant FROM headwater.agreement
 WHERE app = $1 AND state = 'unknown' AND tries < $2
   AND (tries = 0 OR checked_at < clock_timestamp() - least(3600, $3::float8 * 2 ^ tries) * interval '1 second')
 ORDER BY tenant

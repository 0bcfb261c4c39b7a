-- Count a comparison that could not be made: the next one comes later.
-- $1 tenant, $2 app -> nothing
UPDATE headwater.agreement SET tries = tries + 1, checked_at = clock_timestamp() WHERE tenant = $1 AND app = $2 AND state = 'unknown'

-- The last look at the outbox before an instant.
-- $1 instant -> (at, said), or no row
SELECT at, said FROM headwater.outbox_age WHERE at <= $1 ORDER BY at DESC LIMIT 1

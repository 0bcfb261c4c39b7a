-- A record of one side that the other side deleted.
-- id -> nothing
DELETE FROM customer_sync.record WHERE id = $1

-- Lock a record of one side, the row first as every writer does.
-- id text -> its id, or nothing where there is no row
SELECT id FROM customer_sync.record WHERE id = $1 FOR UPDATE

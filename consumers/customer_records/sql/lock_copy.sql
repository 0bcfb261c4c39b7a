-- Lock how a record of one side came to be, behind its row.
-- id text -> its id, or nothing
SELECT id FROM customer_sync.copy WHERE id = $1 FOR UPDATE

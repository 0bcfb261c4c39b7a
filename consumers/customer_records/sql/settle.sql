-- Open conflicts of a record that a later copy has settled.
-- id, how -> nothing
UPDATE customer_sync.conflict SET resolved_at = clock_timestamp(), resolution = $2 WHERE id = $1 AND resolved_at IS NULL

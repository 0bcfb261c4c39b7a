-- Delete an order. A trigger leaves a tombstone with the version of the deletion.
-- $1 tenant, $2 order -> nothing
DELETE FROM orders WHERE tenant_id = $1 AND order_id = $2

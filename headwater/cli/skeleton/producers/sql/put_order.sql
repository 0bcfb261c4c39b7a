-- Write an order as it is now. A trigger gives the row its version.
-- $1 tenant, $2 order, $3 customer, $4 total -> its version
INSERT INTO orders (tenant_id, order_id, customer, total) VALUES ($1, $2, $3, $4)
ON CONFLICT (order_id) DO UPDATE
   SET customer = EXCLUDED.customer, total = EXCLUDED.total, updated_at = now()
RETURNING headwater_version

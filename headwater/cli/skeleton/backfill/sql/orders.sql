-- Orders of a tenant.
-- $1 tenant, $2 app -> rows of orders with key, version, created_at, changed_at
SELECT order_id AS key, headwater_version AS version, created_at, updated_at AS changed_at,
       order_id, customer, total
  FROM orders
 WHERE tenant_id = $1::text AND $2::text IS NOT NULL

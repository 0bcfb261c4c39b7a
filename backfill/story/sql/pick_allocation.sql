-- Some allocation of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of credit_allocations, or none
(SELECT * FROM credit_allocations WHERE tenant_id = $1 AND allocation_id >= $2 ORDER BY allocation_id LIMIT 1)
UNION ALL
(SELECT * FROM credit_allocations WHERE tenant_id = $1 ORDER BY allocation_id LIMIT 1)
LIMIT 1

-- Some role of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of custom_roles, or none
(SELECT * FROM custom_roles WHERE tenant_id = $1 AND role_id >= $2 ORDER BY role_id LIMIT 1)
UNION ALL
(SELECT * FROM custom_roles WHERE tenant_id = $1 ORDER BY role_id LIMIT 1)
LIMIT 1

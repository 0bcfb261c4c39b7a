-- Some user of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of tenant_users, or none
(SELECT * FROM tenant_users WHERE tenant_id = $1 AND user_id >= $2 ORDER BY user_id LIMIT 1)
UNION ALL
(SELECT * FROM tenant_users WHERE tenant_id = $1 ORDER BY user_id LIMIT 1)
LIMIT 1

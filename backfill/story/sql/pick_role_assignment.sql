-- Some assignment of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of user_role_assignments, or none
(SELECT * FROM user_role_assignments WHERE tenant_id = $1 AND id >= $2 ORDER BY id LIMIT 1)
UNION ALL
(SELECT * FROM user_role_assignments WHERE tenant_id = $1 ORDER BY id LIMIT 1)
LIMIT 1

-- Some membership of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of organization_memberships, or none
(SELECT * FROM organization_memberships WHERE tenant_id = $1 AND membership_id >= $2 ORDER BY membership_id LIMIT 1)
UNION ALL
(SELECT * FROM organization_memberships WHERE tenant_id = $1 ORDER BY membership_id LIMIT 1)
LIMIT 1

-- Some organization of a tenant: the first at or behind a random id, in a ring.
-- $1 tenant, $2 random id -> a row of entities, or none
(SELECT * FROM entities WHERE tenant_id = $1 AND entity_id >= $2 ORDER BY entity_id LIMIT 1)
UNION ALL
(SELECT * FROM entities WHERE tenant_id = $1 ORDER BY entity_id LIMIT 1)
LIMIT 1

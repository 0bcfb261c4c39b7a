-- Some organization that nothing but people stands on: no root, no children, no credits.
-- $1 tenant, $2 random id -> its id, or none
SELECT e.entity_id FROM entities AS e
 WHERE e.tenant_id = $1 AND e.entity_type = 'organization' AND e.parent_entity_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM entities AS c WHERE c.parent_entity_id = e.entity_id)
   AND NOT EXISTS (SELECT FROM credit_allocations AS c WHERE c.tenant_id = $1 AND c.source_entity_id = e.entity_id)
 ORDER BY e.entity_id < $2, e.entity_id
 LIMIT 1

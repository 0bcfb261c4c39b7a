-- Give an allocation to the other application, unless that has one.
-- $1 id -> the row with previous_application, or none
UPDATE credit_allocations AS c
   SET target_application = CASE old.target_application WHEN 'crm' THEN 'hr' ELSE 'crm' END,
       last_updated_at = now() AT TIME ZONE 'UTC'
  FROM (SELECT * FROM credit_allocations WHERE allocation_id = $1 FOR UPDATE) AS old
 WHERE c.allocation_id = old.allocation_id AND c.is_active AND old.target_application IN ('crm', 'hr')
   AND NOT EXISTS (
       SELECT FROM credit_allocations AS other
        WHERE other.tenant_id = old.tenant_id AND other.source_entity_id = old.source_entity_id AND other.is_active
          AND other.target_application = CASE old.target_application WHEN 'crm' THEN 'hr' ELSE 'crm' END)
RETURNING c.*, old.target_application AS previous_application

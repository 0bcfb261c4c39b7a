-- Active credit allocations of a tenant to one application that have not expired.
-- $1 tenant, $2 app -> rows of credit_allocations with key, version, created_at, changed_at
SELECT c.allocation_id::text AS key, c.headwater_version AS version,
       c.allocated_at AT TIME ZONE 'UTC' AS created_at, c.last_updated_at AT TIME ZONE 'UTC' AS changed_at,
       c.allocation_id, c.tenant_id, c.source_entity_id, c.target_application, c.allocated_credits, c.used_credits,
       c.available_credits, c.credit_type, c.allocation_type, c.allocation_purpose, c.is_active, c.allocated_at,
       c.expires_at, c.allocated_by, c.last_updated_at, c.updated_by
  FROM credit_allocations AS c
 WHERE c.tenant_id = $1::text::uuid AND c.target_application = $2::text AND c.is_active
   AND (c.expires_at IS NULL OR c.expires_at > now() AT TIME ZONE 'UTC')

-- Lock the balance that increments are counted in, or begin it: no other increment counts meanwhile, and no state passes by.
-- $1 tenant, $2 allocation, $3 entity, $4 entity type, $5 allocated at, $6 expires at -> true, or none when a state was applied
INSERT INTO crm.credits AS c
       (tenant_id, allocation_id, source_entity_id, source_entity_type, allocated_credits, available_credits,
        allocated_at, expires_at)
SELECT $1::text::uuid, $2, $3, $4, 0, 0, $5, $6
 WHERE NOT EXISTS (
       SELECT FROM headwater.ledger WHERE app = 'crm' AND tenant = $1::text AND subject = 'credits' AND key = $2)
ON CONFLICT (tenant_id, allocation_id) DO UPDATE
   SET allocated_at = coalesce(c.allocated_at, excluded.allocated_at), expires_at = coalesce(excluded.expires_at, c.expires_at)
 WHERE c.credit_type IS NULL
RETURNING true

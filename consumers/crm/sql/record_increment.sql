-- Keep what an old producer said.
-- $1 tenant, $2 event id, $3 allocation or null, $4 entity, $5 amount, $6 available, $7 whether it is a total,
-- $8 reason, $9 said at, $10 whether it counts -> nothing
INSERT INTO crm.credit_increments
       (tenant_id, event_id, allocation_id, source_entity_id, amount, available_credits, cumulative, reason, said_at, counted)
VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, event_id) DO NOTHING

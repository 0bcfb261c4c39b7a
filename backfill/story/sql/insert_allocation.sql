-- Allocate credits of an organization to an application, unless it has an active allocation.
-- $1 tenant, $2 id, $3 organization, $4 application, $5 credits, $6 of these passed on or used -> the row, or none
INSERT INTO credit_allocations
       (tenant_id, allocation_id, source_entity_id, target_application, allocated_credits, used_credits, available_credits)
VALUES ($1, $2, $3, $4, $5::numeric, $6::numeric, $5::numeric - $6::numeric)
ON CONFLICT (tenant_id, source_entity_id, target_application) WHERE is_active DO NOTHING
RETURNING *

-- Write a use of credits down, once.
-- $1 tenant, $2 operation, $3 entity, $4 user, $5 amount, $6 type, $7 resource type, $8 resource, $9 time -> nothing
INSERT INTO crm.credit_transactions
       (tenant_id, operation_id, source_entity_id, user_id, amount, operation_type, resource_type, resource_id, consumed_at)
VALUES ($1::text::uuid, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (tenant_id, operation_id) DO NOTHING

-- What operations cost a tenant.
-- $1 tenant, $2 app -> rows of credit_configurations with key, version
SELECT c.config_id::text AS key, c.headwater_version AS version, c.config_id, c.operation_code, c.credit_cost, c.unit,
       c.unit_multiplier, c.free_allowance, c.is_global, c.is_active, c.updated_at
  FROM credit_configurations AS c
 WHERE c.tenant_id = $1::text::uuid AND $2::text IS NOT NULL

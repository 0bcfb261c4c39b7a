-- Hold a lease longer.
-- $1 tenant, $2 token, $3 seconds -> 1, or no row when another run has it
UPDATE crm.tenant_syncs SET lease_until = clock_timestamp() + $3::float8 * interval '1 second'
 WHERE tenant_id = $1::text::uuid AND token = $2
RETURNING 1

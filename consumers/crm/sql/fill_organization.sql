-- Fill what is unknown of the organization that has a code.
-- $1 tenant, $2 code, $3 description, $4 type, $5 time it came to be -> its id, or none
UPDATE crm.organizations
   SET description = coalesce(description, $3), organization_type = coalesce(organization_type, $4),
       created_at = coalesce(created_at, $5)
 WHERE tenant_id = $1::text::uuid AND org_code = $2
RETURNING organization_id

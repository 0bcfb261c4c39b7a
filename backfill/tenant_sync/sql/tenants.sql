-- The tenant itself.
-- $1 tenant, $2 app -> its row of tenants with key, version
SELECT t.tenant_id::text AS key, t.headwater_version AS version, t.tenant_id, t.company_name, t.subdomain, t.industry,
       t.website, t.is_active, t.created_at, t.updated_at
  FROM tenants AS t
 WHERE t.tenant_id = $1::text::uuid AND $2::text IS NOT NULL
